"""The executor's memory: every key ever seen, every effect intended, and what became of it. SQLite or PostgreSQL.

Here belongs what must survive a kill at any moment. It knows nothing of HTTP or Kubernetes.
"""
