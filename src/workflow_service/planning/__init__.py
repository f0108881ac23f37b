"""From an alert to a plan.

Belongs here: the rules as data (`rules.yaml`) and their reader, what is known about the alert's target (`situation`),
filling a rule with it, choosing among rules, converting an advisor's answer (`multi_stage`), and `Planner`, which asks
the executor before the pure part decides.
Does not belong here: what a plan or a target is (domain), running a plan (engine), storing it, HTTP.
Everything but `planner` and the reading of the rule file is pure: the same arguments give the same plan.
"""
