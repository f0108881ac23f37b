"""What the API server fills in when a client leaves it out, for the kinds that have controllers here."""

import base64
from typing import Any

from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object

_POD_SPEC: Object = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
_CONTAINER: Object = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
_ROLLING: Object = {"maxUnavailable": "25%", "maxSurge": "25%"}


def apply_defaults(kind: Kind, obj: Object) -> None:
    """Fill in the defaults of an object, in place."""
    if kind.plural == "secrets":
        _secret(obj)
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    filler = _FILLERS.get(kind.plural)
    if filler is not None:
        filler(spec)


def _fill(target: Object, defaults: Object) -> None:
    for key, value in defaults.items():
        target.setdefault(key, dict(value) if isinstance(value, dict) else value)


def _objects(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _pod(spec: Object) -> None:
    """A pod, unlike a template, also gets the requests that its limits imply."""
    _pod_spec(spec)
    for container in _objects(spec.get("containers")) + _objects(spec.get("initContainers")):
        resources = container["resources"]
        if isinstance(resources, dict) and isinstance(resources.get("limits"), dict):
            requests = resources.setdefault("requests", {})
            if isinstance(requests, dict):
                _fill(requests, resources["limits"])


def _pod_spec(spec: Object) -> None:
    _fill(spec, _POD_SPEC)
    for container in _objects(spec.get("containers")) + _objects(spec.get("initContainers")):
        _container(container)


def _container(container: Object) -> None:
    _fill(container, _CONTAINER)
    image = str(container.get("image", ""))
    tagged = ":" in image.rsplit("/", 1)[-1] and not image.endswith(":latest")
    container.setdefault("imagePullPolicy", "IfNotPresent" if tagged else "Always")
    container.setdefault("resources", {})
    for port in _objects(container.get("ports")):
        port.setdefault("protocol", "TCP")


def _template(spec: Object) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
        if isinstance(template.get("spec"), dict):
            _pod_spec(template["spec"])


def _deployment(spec: Object) -> None:
    _fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), _ROLLING)
    _template(spec)


def _replica_set(spec: Object) -> None:
    spec.setdefault("replicas", 1)
    _template(spec)


def _stateful_set(spec: Object) -> None:
    _fill(spec, {"replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10, "serviceName": ""})
    update = spec.setdefault("updateStrategy", {})
    update.setdefault("type", "RollingUpdate")
    if update["type"] == "RollingUpdate":
        update.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    _template(spec)


def _daemon_set(spec: Object) -> None:
    spec.setdefault("revisionHistoryLimit", 10)
    update = spec.setdefault("updateStrategy", {})
    update.setdefault("type", "RollingUpdate")
    if update["type"] == "RollingUpdate":
        _fill(update.setdefault("rollingUpdate", {}), {"maxUnavailable": 1, "maxSurge": 0})
    _template(spec)


def _service(spec: Object) -> None:
    _fill(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    for port in _objects(spec.get("ports")):
        port.setdefault("protocol", "TCP")
        if "port" in port:
            port.setdefault("targetPort", port["port"])


def _secret(obj: Object) -> None:
    """Plain texts of `stringData` become data; the server never keeps them."""
    texts = obj.pop("stringData", None)
    if isinstance(texts, dict):
        data = obj.setdefault("data", {})
        data.update({name: base64.b64encode(str(text).encode()).decode() for name, text in texts.items()})
    obj.setdefault("type", "Opaque")


def _claim(spec: Object) -> None:
    _fill(spec, {"volumeMode": "Filesystem"})


def _policy(spec: Object) -> None:
    spec.setdefault("policyTypes", ["Ingress", *(["Egress"] if spec.get("egress") else [])])


def _job(spec: Object) -> None:
    _fill(spec, {"backoffLimit": 6, "completions": 1, "parallelism": 1})
    _template(spec)


_FILLERS = {
    "persistentvolumeclaims": _claim,
    "horizontalpodautoscalers": lambda spec: _fill(spec, {"minReplicas": 1}),
    "networkpolicies": _policy,
    "jobs": _job,
    "pods": _pod,
    "deployments": _deployment,
    "replicasets": _replica_set,
    "statefulsets": _stateful_set,
    "daemonsets": _daemon_set,
    "services": _service,
}
