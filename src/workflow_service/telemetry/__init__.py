"""What operators see: log lines and metrics.

Belongs here: the form of log lines (`log`) and every metric's name, labels and buckets (`metrics`), so that nothing is
counted twice or named differently.
Does not belong here: deciding what is worth telling; that stands where it happens.
"""
