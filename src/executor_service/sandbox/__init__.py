"""An in-memory Kubernetes API served as a process of its own, for demonstrations and tests.

Here belongs everything a client can see of a small Kubernetes cluster: the API's rules (versions, conflicts, patches,
selectors, watches, dry run, eviction), small controllers that make pods follow their owners, scripted faults, and the
record of who wrote what. Nothing here knows the executor: it is reached through a kubeconfig, like any cluster.
"""
