"""HTTP in: routes, the shapes of requests and answers, and problems.

Belongs here: reading HTTP, calling intake and the stored reads, and shaping answers. Does not belong here: decisions,
SQL, or anything that must also hold for an alert that came another way.
"""
