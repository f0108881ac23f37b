"""Who calls: keys and tokens become a `Caller`, or nobody; how often each may call; what was done by whom.

Belongs here: proving an identity, remembering that for a bounded time, limits of rate, the log of writes. Does not
belong here: what a right allows (domain.permissions), reading HTTP (api), asking other services (clients).
"""
