"""Wake-ups: telling who waits, here and on other replicas, that something changed.

Belongs here: the implementations of `ports.EventBus`. A wake-up carries no data and may be lost; the database is the
truth.
Does not belong here: events themselves, caches, locks, anything whose loss would make an answer wrong.
"""
