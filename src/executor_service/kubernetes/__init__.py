"""How the executor speaks with a Kubernetes API server: raw JSON over lightkube's connection.

Nothing here decides what to change; that is the business of `actions`.
"""
