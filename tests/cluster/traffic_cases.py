"""Cases of the families isolation, policies, secrets, network and mesh."""

import base64
from collections.abc import Callable
from typing import Any

from tests.cluster.case import Case, Drift
from tests.cluster.objects import deployment, meshed, network_policy, reading, workload
from tests.cluster.rights import apps, core, named, noted, of
from tests.cluster.scenes import COMPONENTS, aged, at, one_pod
from tests.cluster.stage import Stage
from tests.support.kube import Object

_RESTARTED = "kubernaut.io/restarted-by"
_OLD, _THEIRS = (base64.b64encode(text).decode() for text in (b"old-and-known", b"theirs"))
_FRONT = [{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}]}]
_BACK = [{"from": [{"podSelector": {"matchLabels": {"app": "back"}}}]}]
_HIDDEN = "(hidden)"


def _served(stage: Stage) -> None:
    one_pod(stage)
    metadata = {"name": "web", "namespace": stage.namespace}
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    stage.kube.create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    aged(stage, stage.pods("web"))


def _isolated(stage: Stage) -> bool:
    metadata = at(stage, "Pod", stage.notes["pod"])["metadata"]
    others = {pod["metadata"]["name"] for pod in stage.pods("web")}
    apart = metadata["labels"].get("quarantined") == "true" and "app" not in metadata["labels"]
    return apart and not metadata.get("ownerReferences") and len(others) == 2


def _everything(stage: Stage, change: Callable[[Object], Object]) -> None:
    """A Deployment, a StatefulSet and a DaemonSet that all have what `change` brings."""
    stage.create(change(deployment(stage.namespace)))
    stage.create(change(workload("StatefulSet", stage.namespace, "db", replicas=1)))
    stage.create(change(workload("DaemonSet", stage.namespace, "agent", replicas=None)))


def _all_restarted(stage: Stage) -> bool:
    found = (at(stage, *each) for each in (("Deployment", "web"), ("StatefulSet", "db"), ("DaemonSet", "agent")))
    return all(_RESTARTED in (one["spec"]["template"]["metadata"].get("annotations") or {}) for one in found)


def _token(stage: Stage) -> None:
    metadata = {"name": "web-token", "namespace": stage.namespace, "labels": {"app": "web"}}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {"token": _OLD}}
    stage.kube.create(body)
    _everything(stage, lambda item: reading(item, "web-token"))


def _rotated(stage: Stage) -> bool:
    secrets = [one for one in stage.kube.objects("Secret", stage.namespace) if "token" in (one.get("data") or {})]
    ours = {one["metadata"]["name"]: one["data"]["token"] for one in secrets if one["type"] == "Opaque"}
    copies = [value for name, value in ours.items() if name.startswith("web-token-before-")]
    return _OLD in copies and len(base64.b64decode(ours["web-token"])) >= 32 and _all_restarted(stage)


def _component(name: str) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        kind = COMPONENTS[name]
        body = workload(kind, "kube-system", name, replicas=None if kind == "DaemonSet" else 1)
        stage.kube.create(body)
        target = stage.thing(kind, "kube-system", name)
        stage.settled(target)
        stage.notes["uids"] = _component_pods(stage, name)

    return arrange


def _component_pods(stage: Stage, name: str) -> set[str]:
    found = stage.kube.objects("Pod", "kube-system", labelSelector=f"app={name}")
    return {pod["metadata"]["uid"] for pod in found if "deletionTimestamp" not in pod["metadata"]}


def _replaced(stage: Stage, name: str) -> bool:
    now = _component_pods(stage, name)
    return len(now) == len(stage.notes["uids"]) and now.isdisjoint(stage.notes["uids"])


def _network(name: str, resource: str) -> Case:
    return Case(
        name=f"restart the network component {name}, a {COMPONENTS[name]}",
        type="restart_network",
        target=(COMPONENTS[name], "kube-system", name),
        arrange=_component(name),
        parameters=lambda stage: {"namespace": stage.namespace, "component": name},
        effect=lambda stage: _replaced(stage, name),
        rights=apps(resource, "get", "patch"),
    )


def _policy(**rules: Any) -> Callable[[Stage], dict[str, Any]]:
    return named("web", rules=rules)


CASES = (
    Case(
        name="take a pod out of service",
        type="quarantine_pod",
        target=("Pod", "noted:pod"),
        arrange=_served,
        parameters=noted("pod"),
        effect=_isolated,
        rights=(*core("pods", "get", "list", "patch"), *core("services", "list"), *apps("replicasets", "get")),
        drift=Drift("/metadata/labels/quarantined", "maybe"),
        rival=Drift("/metadata/labels/quarantined", "maybe"),
    ),
    Case(
        name="other rules for a network policy",
        type="update_network_policy",
        target=("NetworkPolicy", "web"),
        arrange=lambda stage: stage.notes.update(made=stage.kube.create(network_policy(stage.namespace, "web"))),
        parameters=_policy(ingress=_FRONT),
        effect=lambda stage: at(stage, "NetworkPolicy", "web")["spec"]["ingress"] == _FRONT,
        rights=of("networking.k8s.io", "networkpolicies", "get", "patch"),
        drift=Drift("/spec/ingress", _BACK),
        rival=Drift("/spec/ingress", _BACK),
    ),
    Case(
        name="a network policy that was not there",
        type="update_network_policy",
        target=("NetworkPolicy", "fresh"),
        arrange=lambda _: None,
        parameters=named(
            "fresh", create=True, rules={"pod_selector": {}, "policy_types": ["Ingress"], "ingress": _FRONT}
        ),
        effect=lambda stage: at(stage, "NetworkPolicy", "fresh")["spec"]["ingress"] == _FRONT,
        rights=of("networking.k8s.io", "networkpolicies", "get", "create"),
        drift=Drift("/spec/ingress", _BACK),
        creates=True,
        undo_rights=of("networking.k8s.io", "networkpolicies", "delete"),
    ),
    Case(
        name="new values for a secret",
        type="rotate_secrets",
        target=("Secret", "web-token"),
        arrange=_token,
        parameters=named("web-token"),
        effect=_rotated,
        rights=(
            *core("secrets", "get", "create", "patch"),
            *(right for kind in ("deployments", "statefulsets", "daemonsets") for right in apps(kind, "patch")),
        ),
        drift=Drift("/data/token", _THEIRS),
        rival=Drift("/data/token", _THEIRS, seen=_HIDDEN),
    ),
    Case(
        name="restart what carries the mesh",
        type="reset_service_mesh",
        target=("Deployment", "web"),
        arrange=lambda stage: _everything(stage, meshed),
        parameters=lambda stage: {"namespace": stage.namespace},
        effect=_all_restarted,
        rights=tuple(right for kind in ("deployments", "statefulsets", "daemonsets") for right in apps(kind, "patch")),
    ),
    _network("dns", "deployments"),
    _network("proxy", "daemonsets"),
    _network("store", "statefulsets"),
)
