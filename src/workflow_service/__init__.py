"""Kubernaut's Workflow Orchestrator Service: takes alerts, plans remediations, runs them durably, undoes and proves.

It answers for orchestrating workflows only. It never touches Kubernetes: that is executor_service, met over HTTP, whose
code is not imported here. ARCHITECTURE.md says which package holds what, and each package's docstring what does not
belong there.
"""

__version__ = "0.1.0"
