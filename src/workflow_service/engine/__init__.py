"""Plan -> done, durably.

Belongs here: the drive (one ride of an execution), the attempt (one key's way to its outcome), the lease and the
reconciler that keep rides alive on some replica, and the binding to DBOS. Does not belong here: what to do next
(domain.decide), how to plan (handed over by app as a callable), SQL (store).
"""
