"""The fault kit: the product beside its own worst day, and a verdict from outside.

Belongs here: starting the real programs as processes, sending them alerts, hurting them on a seeded schedule, and
judging what became of every alert by the public API and the cluster's own audit log. Does not belong here: anything
that production uses or imports, and any knowledge of the product's inside but two facts that its faults need: where
the executor keeps its ledger and where DBOS keeps its rows.
"""
