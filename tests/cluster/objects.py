"""The objects that cases begin with, as any user would write them down."""

from typing import Any

from tests.support.kube import Object

FAULT, HEALS_ON = "sandbox.kubernaut.io/fault", "sandbox.kubernaut.io/heals-on"
REQUESTS = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}


def workload(kind: str, namespace: str, name: str, *, replicas: int | None = 2, **container: Any) -> Object:
    """A workload of one container; `replicas` None for a DaemonSet."""
    labels = {"app": name}
    main = {"name": "main", "image": "registry.local/app:1"} | container
    spec: Object = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [main]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["serviceName"] = name
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def deployment(namespace: str, name: str = "web", *, replicas: int = 2, **container: Any) -> Object:
    """A Deployment with requests and limits."""
    return workload("Deployment", namespace, name, replicas=replicas, **({"resources": REQUESTS} | container))


def budget(namespace: str, app: str, *, api_version: str) -> Object:
    """A disruption budget that never lets a pod go."""
    return {
        "apiVersion": api_version,
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "never", "namespace": namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": app}}},
    }
