"""The types of known fields, checked as the API server's decoder does; fields that are not listed may be anything.

A shape is a type, a tuple of allowed words, `[shape]` for a list, a mapping of field names to shapes, or one of the
named shapes `STRINGS`, `QUANTITIES`, `COUNT_OR_PERCENT`.
"""

import re
from typing import Any, TypeAlias

from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object
from executor_service.sandbox.quantities import canonical

Shape: TypeAlias = Any

STRINGS = "map[string]string"
QUANTITIES = "v1.ResourceList"
COUNT_OR_PERCENT = "intstr.IntOrString"

_METADATA = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "uid": str,
    "resourceVersion": str,
    "labels": STRINGS,
    "annotations": STRINGS,
    "finalizers": [str],
    "ownerReferences": [{"kind": str, "name": str, "uid": str, "controller": bool}],
}
_SELECTOR = {
    "matchLabels": STRINGS,
    "matchExpressions": [
        {"key": str, "operator": ("In", "NotIn", "Exists", "DoesNotExist"), "values": [str]},
    ],
}
_CONTAINER = {
    "name": str,
    "image": str,
    "imagePullPolicy": str,
    "command": [str],
    "args": [str],
    "env": [{"name": str, "value": str}],
    "ports": [{"containerPort": int, "protocol": str, "name": str}],
    "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
    "volumeMounts": [{"name": str, "mountPath": str}],
}
_POD = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "nodeName": str,
    "nodeSelector": STRINGS,
    "restartPolicy": str,
    "schedulerName": str,
    "terminationGracePeriodSeconds": int,
    "tolerations": [{"key": str, "operator": str, "value": str, "effect": str}],
    "volumes": [{"name": str}],
}
_BOUNDS = {"maxSurge": COUNT_OR_PERCENT, "maxUnavailable": COUNT_OR_PERCENT, "partition": int}
_STRATEGY = {"type": ("RollingUpdate", "Recreate", "OnDelete"), "rollingUpdate": _BOUNDS}
_WORKLOAD = {
    "replicas": int,
    "selector": _SELECTOR,
    "template": {"metadata": _METADATA, "spec": _POD},
    "strategy": _STRATEGY,
    "updateStrategy": _STRATEGY,
    "podManagementPolicy": ("OrderedReady", "Parallel"),
    "serviceName": str,
    "paused": bool,
    "minReadySeconds": int,
    "revisionHistoryLimit": int,
    "progressDeadlineSeconds": int,
}
_BUDGET = {
    "selector": _SELECTOR,
    "minAvailable": COUNT_OR_PERCENT,
    "maxUnavailable": COUNT_OR_PERCENT,
    "unhealthyPodEvictionPolicy": ("IfHealthyBudget", "AlwaysAllow"),
}
_NODE = {"unschedulable": bool, "taints": [{"key": str, "value": str, "effect": str}]}
_CLAIM = {
    "accessModes": [str],
    "storageClassName": str,
    "volumeName": str,
    "resources": {"requests": QUANTITIES, "limits": QUANTITIES},
}
_METRIC = {
    "type": ("Resource", "Pods", "Object", "External", "ContainerResource"),
    "resource": {"name": str, "target": {"type": ("Utilization", "AverageValue"), "averageUtilization": int}},
}
_AUTOSCALER = {
    "scaleTargetRef": {"apiVersion": str, "kind": str, "name": str},
    "minReplicas": int,
    "maxReplicas": int,
    "metrics": [_METRIC],
}
_PORTS = [{"protocol": ("TCP", "UDP", "SCTP"), "endPort": int}]
_PEERS = [{"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR, "ipBlock": {"cidr": str, "except": [str]}}]
_POLICY = {
    "podSelector": _SELECTOR,
    "policyTypes": [("Ingress", "Egress")],
    "ingress": [{"from": _PEERS, "ports": _PORTS}],
    "egress": [{"to": _PEERS, "ports": _PORTS}],
}
_JOB = {
    "backoffLimit": int,
    "activeDeadlineSeconds": int,
    "ttlSecondsAfterFinished": int,
    "template": {"metadata": _METADATA, "spec": _POD},
}
_SPECS: dict[str, Shape] = {
    "persistentvolumeclaims": _CLAIM,
    "horizontalpodautoscalers": _AUTOSCALER,
    "networkpolicies": _POLICY,
    "jobs": _JOB,
    "volumesnapshots": {"source": {"persistentVolumeClaimName": str}, "volumeSnapshotClassName": str},
    "pods": _POD,
    "nodes": _NODE,
    "poddisruptionbudgets": _BUDGET,
    "services": {"ports": [{"port": int}], "selector": STRINGS},
    "deployments": _WORKLOAD,
    "replicasets": _WORKLOAD,
    "statefulsets": _WORKLOAD,
    "daemonsets": _WORKLOAD,
}
_DATA: dict[str, Shape] = {
    "configmaps": {"metadata": _METADATA, "data": STRINGS},
    "secrets": {"metadata": _METADATA, "data": STRINGS, "type": str, "immutable": bool},
    "storageclasses": {"metadata": _METADATA, "provisioner": str, "allowVolumeExpansion": bool},
}
_STATUS = {
    "phase": str,
    "replicas": int,
    "conditions": [{"type": str, "status": str, "reason": str, "message": str}],
    "containerStatuses": [{"name": str, "restartCount": int, "state": dict, "lastState": dict}],
    "allocatable": QUANTITIES,
    "capacity": QUANTITIES,
}
_NAMES = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
_PERCENT = re.compile(r"\d+%")


def shape_problem(kind: Kind, obj: Object) -> str | None:
    """Why the object cannot be decoded as its kind, or None when it can.

    What the server would not store as given is changed in place: a known field that is null, an empty list or an empty
    map is dropped, and quantities get their canonical spelling.
    """
    shape = {"metadata": _METADATA, "spec": _SPECS.get(kind.plural, {}), "status": _STATUS}
    if kind.plural == "events":
        shape = {"metadata": _METADATA, "involvedObject": {"name": str}}
    elif kind.plural in _DATA:
        shape = _DATA[kind.plural]
    problem = _fields(obj, shape, "")
    return problem and f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {problem}'


def _fields(value: Any, shape: Object, path: str) -> str | None:
    if not isinstance(value, dict):
        return _mismatch(path, value, "object")
    for name, inner in shape.items():
        if value.get(name) is None or (value[name] in ({}, []) and inner in (STRINGS, QUANTITIES)):
            value.pop(name, None)
            continue
        if value[name] == [] and isinstance(inner, list):
            value.pop(name)
            continue
        problem = _problem(value[name], inner, f"{path}.{name}".lstrip("."))
        if problem is not None:
            return problem
        if not isinstance(inner, dict) and value[name] in ({}, []):
            del value[name]
    return None


def _problem(value: Any, shape: Shape, path: str) -> str | None:
    if isinstance(shape, dict):
        return _fields(value, shape, path)
    if isinstance(shape, list):
        return _items(value, shape[0], path)
    if isinstance(shape, tuple):
        return None if value in shape else f'{path}: Unsupported value: "{value}": supported values: {", ".join(shape)}'
    if isinstance(shape, str):
        return _named(value, shape, path)
    fits = isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
    return None if fits else _mismatch(path, value, _NAMES[shape])


def _items(value: Any, shape: Shape, path: str) -> str | None:
    if not isinstance(value, list):
        return _mismatch(path, value, "array")
    problems = (_problem(item, shape, path) for item in value)
    return next((problem for problem in problems if problem is not None), None)


def _named(value: Any, shape: str, path: str) -> str | None:
    if shape == COUNT_OR_PERCENT:
        count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        percent = isinstance(value, str) and _PERCENT.fullmatch(value)
        return None if count or percent else _mismatch(path, value, shape)
    if not isinstance(value, dict):
        return _mismatch(path, value, shape)
    for key, entry in value.items():
        if shape == STRINGS and not isinstance(entry, str):
            return _mismatch(path, entry, "string")
        if shape == QUANTITIES:
            try:
                value[key] = canonical(entry)
            except ValueError as problem:
                return str(problem)
    return None


def _mismatch(path: str, value: Any, wanted: str) -> str:
    found = _NAMES.get(type(value), "null")
    return f"json: cannot unmarshal {found} into Go struct field {path} of type {wanted}"
