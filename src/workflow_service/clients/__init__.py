"""Outbound HTTP: what this service says to others, and how their answers and silences are understood.

Belongs here: one module per service spoken to (its implementation of a port) with its wire format beside it, and the
one HTTP session that all of them share.
Does not belong here: deciding what to do about an answer, retrying effects, or reading settings.
"""
