"""What an alert or an action is about, and how it is found in labels, annotations and resource names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from workflow_service.domain.alert import Alert

# What people, kubectl and the API call the kinds that we can act on.
KINDS: Mapping[str, str] = {
    **dict.fromkeys(("deployment", "deployments", "deploy"), "Deployment"),
    **dict.fromkeys(("statefulset", "statefulsets", "sts"), "StatefulSet"),
    **dict.fromkeys(("daemonset", "daemonsets", "ds"), "DaemonSet"),
    **dict.fromkeys(("replicaset", "replicasets", "rs"), "ReplicaSet"),
    **dict.fromkeys(("pod", "pods", "po"), "Pod"),
    **dict.fromkeys(("node", "nodes", "no"), "Node"),
}
# Controllers first: who names one means it, while `pod` may be only where the alert was measured.
_CONTROLLERS: Mapping[str, str] = {
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
}
# `app_kubernetes_io_name` is how Prometheus spells `app.kubernetes.io/name`.
_APP = ("app", "app.kubernetes.io/name", "app_kubernetes_io_name")
# Labels that say what an alert is about, and how bad it is: what has no room for all of them keeps these.
TELLING = frozenset(("alertname", "severity", "cluster", "namespace", "exported_namespace")) | {
    *(*_CONTROLLERS, "pod", "pod_name", "node", "instance", "job", *_APP)
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")  # DNS-1123 label
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")  # DNS-1123 subdomain
_EXPORTER = re.compile(r"kube-state-metrics|exporter|cadvisor")
_NODE_JOB = re.compile(r"node-exporter|kubelet|cadvisor")


TARGETS = "target:"  # with which the identities of targets begin


@dataclass(frozen=True, slots=True)
class Target:
    """One Kubernetes object. `kind` is spelled as Kubernetes does (Deployment, Pod, Node ...)."""

    cluster: str
    kind: str
    name: str
    namespace: str | None = None  # None for cluster-scoped kinds

    @property
    def identity(self) -> str:
        """The words under which duplicates meet, such as `target:default/production/pod/web-1`."""
        return f"{TARGETS}{self.cluster}/{self.namespace or '-'}/{self.kind.lower()}/{self.name}"


@dataclass(frozen=True, slots=True)
class NoTarget:
    """The alert names nothing that could be acted on, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Mention:
    """A place in the alert that names an object. `kind` is None when the place names none that we know."""

    source: str
    kind: str | None
    name: str
    namespace: str | None


def resolve(alert: Alert, cluster: str) -> Target | NoTarget:
    """The object an alert is about, in its cluster (`domain.clusters`).

    The first valid mention wins, from the most to the least explicit: labels that name a kind (deployment, statefulset,
    daemonset, node, pod), annotations of the same names, `kind/name` in `resource`, and last the application labels:
    they say what something belongs to rather than what it is, and are read as a Deployment.
    """
    refused = []
    for mention in _mentions(alert):
        flaw = _flaw(mention)
        if flaw is None and mention.kind is not None:
            namespace = None if mention.kind == "Node" else mention.namespace
            return Target(cluster, mention.kind, mention.name, namespace)
        refused.append(f"{mention.source} {flaw}")
    return NoTarget("; ".join(refused) or "no label, annotation or resource names a Kubernetes object")


def top_owner(target: Target, owners: Sequence[Target]) -> Target:
    """Who decides about `target`: the last of its owners (nearest first), or itself when it has none."""
    return owners[-1] if owners else target


def _mentions(alert: Alert) -> Iterator[_Mention]:
    yield from _kinds(alert, "label", alert.labels)
    yield from _kinds(alert, "annotation", alert.annotations)
    if alert.resource:
        yield _from_resource(alert.resource, alert.namespace)
    for source, values in (("label", alert.labels), ("annotation", alert.annotations)):
        for key in _APP:
            name = _subject(values, key)
            if name and not _EXPORTER.search(name):
                yield _Mention(_said(source, key, name), "Deployment", name, _namespace(alert, values))


def _kinds(alert: Alert, source: str, values: Mapping[str, str]) -> Iterator[_Mention]:
    namespace = _namespace(alert, values)
    for key, kind in _CONTROLLERS.items():
        if name := _subject(values, key):
            yield _Mention(_said(source, key, name), kind, name, namespace)
    pod = _subject(values, "pod") or _subject(values, "pod_name")
    node = _subject(values, "node") or _node_in_instance(alert, values)
    exporter = pod is not None and _EXPORTER.search(pod) is not None and "pod" not in alert.name.lower()
    # cAdvisor's alerts carry the node beside the pod they are about; kube-state-metrics' carry itself as pod.
    if node and (pod is None or exporter or "node" in alert.name.lower()):
        yield _Mention(_said(source, "node", node), "Node", node, None)
    if pod and not exporter:
        yield _Mention(_said(source, "pod", pod), "Pod", pod, namespace)


def _said(source: str, key: str, name: str) -> str:
    return f"{source} {key}={name[:80]!r}"  # reasons are read by people; a label may have thousands of characters


def _subject(values: Mapping[str, str], key: str) -> str | None:
    """The label's value; Prometheus moves the subject's to `exported_*` where the scraped target has the same label."""
    return (values.get(f"exported_{key}") or values.get(key) or "").strip() or None


def _namespace(alert: Alert, values: Mapping[str, str]) -> str | None:
    return values.get("exported_namespace") or alert.namespace


def _node_in_instance(alert: Alert, values: Mapping[str, str]) -> str | None:
    """`instance` is a scrape address; it names a node only for what runs on the node itself, and never as an IP."""
    host = values.get("instance", "").rsplit(":", 1)[0]
    about_nodes = "node" in alert.name.lower() or _NODE_JOB.search(values.get("job", ""))
    looks_like_one = _NAME.fullmatch(host) and re.search("[a-z]", host) and host != "localhost" and ".svc" not in host
    return host if about_nodes and looks_like_one and not _EXPORTER.search(host) else None


def _from_resource(resource: str, namespace: str | None) -> _Mention:
    kind, slash, name = resource.partition("/")
    source = f"resource {resource[:80]!r}"
    if not slash:  # a bare word may be a pod, a node, a volume or a host: guessing could restart the wrong thing
        return _Mention(source, None, resource, namespace)
    return _Mention(source, KINDS.get(kind.strip().lower().partition(".")[0]), name.strip(), namespace)


def _flaw(mention: _Mention) -> str | None:
    if mention.kind is None:
        return "does not name one of the kinds " + ", ".join(sorted(set(KINDS.values()))) + " as kind/name"
    if not _NAME.fullmatch(mention.name) or len(mention.name) > 253:
        return f"is not a valid {mention.kind} name (DNS-1123)"
    if mention.kind == "Node":
        return None
    if mention.namespace is None:
        return f"names a {mention.kind}, but the alert names no namespace"
    if not _LABEL.fullmatch(mention.namespace) or len(mention.namespace) > 63:
        return f"is in {mention.namespace[:80]!r}, which is not a valid namespace name (DNS-1123)"
    return None
