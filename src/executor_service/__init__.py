"""executor-service: the hand that changes Kubernetes, standing alone behind an HTTP contract.

Here belongs what is needed to run one remediation action exactly once, to prove what it changed and to take it back:
the ledger, the Kubernetes connection, the catalogue of actions, notifications, the API, and the sandbox cluster.
Not here: when and why to act, order, retries, approvals. Those are the caller's business. Nothing is imported from,
or by, `workflow_service`; the two meet over HTTP only.
"""

__version__ = "0.1.0"
