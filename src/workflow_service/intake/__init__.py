"""Delivery -> stored alerts -> one outcome each.

Belongs here: storing before anything is promised, and the idempotent decision what becomes of each alert. Does not
belong here: reading HTTP (api), making plans (planning), running them (engine).
"""
