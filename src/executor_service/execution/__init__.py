"""The life of an action: accepted once per key, driven to its end, joined by callers, cancelled, resumed after a crash.

Not here: what an action does (`actions`), how it is remembered (`ledger`), how it is asked for (`api`).
"""
