"""How people are told: one module for each kind of channel, all behind `ports.Channel`.

Belongs here: the form that a message has on its channel, escaping included. Does not belong here: what is told to whom
(domain.notices, domain.addressing), when and how often (notifying).
"""
