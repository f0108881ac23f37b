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


def autoscaler(namespace: str, name: str, *, api_version: str) -> Object:
    """An autoscaler of the Deployment of that name: 2 to 5 pods, by the memory that they use."""
    target = {"type": "Utilization", "averageUtilization": 70}
    return {
        "apiVersion": api_version,
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": target}}],
        },
    }


def hanging_job(namespace: str, name: str) -> Object:
    """A Job whose pod works for ever."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.local/app:1"}]}
    about = {"labels": {"app": name}, "annotations": {"sandbox.kubernaut.io/job": "hang"}}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    spec = {"template": {"metadata": about, "spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def meshed(item: Object) -> Object:
    """The workload with a mesh's proxy beside its container."""
    item["spec"]["template"]["spec"]["containers"].append({"name": "istio-proxy", "image": "registry.local/proxy:1"})
    return item


def reading(item: Object, secret: str) -> Object:
    """The workload with a variable from a secret."""
    source = {"secretKeyRef": {"name": secret, "key": "token"}}
    item["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "valueFrom": source}]
    return item


def network_policy(namespace: str, name: str) -> Object:
    """A policy that lets nobody in."""
    spec = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
