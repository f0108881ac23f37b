"""Advisors over HTTP: HolmesGPT, Kubernaut's own AI service, any server that speaks OpenAI's language, and nobody.

Belongs here: one module per provider with its wire format, what they share (limits of an exchange, forms of structured
output), finding out who is there, and the one that asks within a budget and checks what comes back.
Does not belong here: what a question holds, what an answer may say, and how far it is believed (`domain`), or what
becomes of it (`planning`).
"""
