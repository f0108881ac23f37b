"""What is in the outbox -> people.

Belongs here: claiming, sending, trying again, giving up; the links in a message. Does not belong here: what people are
told of (domain.notices), writing it down (engine.notifying), the form of a message on its channel (clients.channels).
"""
