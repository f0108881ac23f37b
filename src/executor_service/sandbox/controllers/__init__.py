"""The small controllers that make pods follow their owners, as a cluster's control plane and kubelets do.

Each is a plain function or class that looks at one object and moves the cluster one step nearer to what is wanted; the
work queue calls it shortly after something it cares about has changed. They write to the store directly: their writes
are the cluster's own and never appear in the audit.
"""
