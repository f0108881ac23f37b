"""Templates tried without any service: the real planner and the real decisions, a scripted executor, and no clock.

Belongs here: the format of tests of templates, the world that they describe, time that jumps, playing a plan to its
end, and holding what happened against what was expected.
Does not belong here: what a template or a plan is (planning), what is decided (domain), anything that a service does.
"""
