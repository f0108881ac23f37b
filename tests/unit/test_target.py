"""Finding what an alert is about: the most explicit mention wins, and nothing is guessed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import a_target
from workflow_service.domain.alert import Alert
from workflow_service.domain.target import NoTarget, Target, resolve, top_owner

_NAMES = st.sampled_from(
    ["web", "web-1", "Web_1", "node-1:9100", "10.0.0.1:80", "kube-state-metrics-0", "x" * 300, "{{ x }}"]
)
_KEYS = st.sampled_from(
    [
        "deployment",
        "statefulset",
        "pod",
        "exported_pod",
        "node",
        "instance",
        "app",
        "namespace",
        "exported_namespace",
        "job",
    ]
)


def found(**values: Any) -> Target | NoTarget:
    """The target of an alert in production."""
    return resolve(Alert(**{"name": "Trouble", "namespace": "production", **values}), "default")


def kind_and_name(**values: Any) -> tuple[str, str]:
    """The same, of a target that must be there."""
    target = found(**values)
    assert isinstance(target, Target), target
    return target.kind, target.name


def why_not(**values: Any) -> str:
    """The reason why there is none."""
    target = found(**values)
    assert isinstance(target, NoTarget), target
    return target.reason


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("pod/web-server-123", ("Pod", "web-server-123")),
        ("po/web", ("Pod", "web")),
        ("Deployment/api-server", ("Deployment", "api-server")),
        ("deploy/api", ("Deployment", "api")),
        ("deployments.apps/api", ("Deployment", "api")),
        ("STS/postgres", ("StatefulSet", "postgres")),
        ("ds/log-agent", ("DaemonSet", "log-agent")),
        ("no/node-1.example.org", ("Node", "node-1.example.org")),
        ("rs/web-6d4f", ("ReplicaSet", "web-6d4f")),
    ],
)
def test_resources_are_read_as_people_write_them(resource: str, expected: tuple[str, str]) -> None:
    """`kind/name` in kubectl's spellings, in any case."""
    assert kind_and_name(resource=resource) == expected


def test_controllers_beat_pods_and_nodes() -> None:
    """Who names a controller means it; `pod` may only be where the alert was measured."""
    assert kind_and_name(labels={"pod": "web-1", "node": "node-1", "deployment": "web"}) == ("Deployment", "web")
    assert kind_and_name(labels={"pod": "postgres-0", "statefulset": "postgres"}) == ("StatefulSet", "postgres")


def test_kind_labels_beat_annotations_beat_resource_beats_app() -> None:
    """From the most to the least explicit."""
    mentions: dict[str, Any] = {"labels": {"app": "four"}}
    assert kind_and_name(**mentions) == ("Deployment", "four")
    mentions["resource"] = "pod/three"
    assert kind_and_name(**mentions) == ("Pod", "three")
    mentions["annotations"] = {"statefulset": "two"}
    assert kind_and_name(**mentions) == ("StatefulSet", "two")
    mentions["labels"] = {"app": "four", "daemonset": "one"}
    assert kind_and_name(**mentions) == ("DaemonSet", "one")


@pytest.mark.parametrize("key", ["app", "app.kubernetes.io/name", "app_kubernetes_io_name"])
def test_applications_are_read_as_deployments(key: str) -> None:
    """The application labels count when nothing names a kind."""
    assert kind_and_name(labels={key: "web"}) == ("Deployment", "web")


def test_the_exporter_is_not_the_subject() -> None:
    """kube-state-metrics names itself as pod beside the node or the resource that the alert is about."""
    exporter = {"pod": "kube-state-metrics-7d9f", "instance": "10.0.0.3:8080", "job": "kube-state-metrics"}
    assert kind_and_name(name="KubeNodeNotReady", labels={**exporter, "node": "node-1"}) == ("Node", "node-1")
    assert kind_and_name(resource="deployment/api", labels=exporter) == ("Deployment", "api")
    assert "no label" in why_not(name="KubeHpaMaxedOut", labels=exporter)


def test_an_alert_about_the_exporters_own_pod_is() -> None:
    """When the alert's name speaks of a pod, its pod label is meant."""
    assert kind_and_name(name="KubePodCrashLooping", labels={"pod": "kube-state-metrics-7d9f"})[0] == "Pod"


def test_a_pod_is_the_subject_even_when_its_node_is_named() -> None:
    """CAdvisor's alerts carry both; only an alert that speaks of nodes means the node."""
    both = {"pod": "web-1", "node": "node-1"}
    assert kind_and_name(name="CPUThrottlingHigh", labels=both) == ("Pod", "web-1")
    assert kind_and_name(name="NodeMemoryPressure", labels=both) == ("Node", "node-1")


def test_what_prometheus_moved_aside_is_the_subject() -> None:
    """`exported_*` holds the metric's own labels where the scraped target has the same ones."""
    labels = {"pod": "kube-state-metrics-1", "exported_pod": "web-1", "exported_namespace": "staging"}
    assert found(namespace="monitoring", labels=labels) == a_target(kind="Pod", name="web-1", namespace="staging")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"instance": "node-1:9100", "job": "node-exporter"}, "node-1"),
        ({"instance": "ip-10-0-0-1.ec2.internal", "job": "kubelet"}, "ip-10-0-0-1.ec2.internal"),
        ({"instance": "10.0.0.1:9100", "job": "node-exporter"}, None),
        ({"instance": "[::1]:9100", "job": "node-exporter"}, None),
        ({"instance": "localhost:9100", "job": "node-exporter"}, None),
        ({"instance": "web:8080", "job": "web"}, None),
        ({"instance": "kube-state-metrics:8080", "job": "kubelet"}, None),
    ],
)
def test_an_instance_is_a_node_only_when_it_looks_like_one(labels: dict[str, str], expected: str | None) -> None:
    """A scrape address names a node only for what runs on nodes, and never as an IP address."""
    target = found(labels=labels)
    assert (target.name if isinstance(target, Target) else None) == expected


def test_a_bare_name_is_not_guessed() -> None:
    """It could be a pod, a node, a volume or a host; guessing could restart the wrong thing."""
    assert "kind/name" in why_not(resource="web-server")


@pytest.mark.parametrize(
    "resource", ["service/web", "pvc/data", "/web", "pod/", "pod/Web_1", "pod/a/b", f"pod/{'x' * 254}"]
)
def test_other_resources_are_refused_with_a_reason(resource: str) -> None:
    """Kinds we cannot act on and impossible names are no target, and the reason repeats them."""
    assert resource[:40] in why_not(resource=resource)


def test_a_namespaced_kind_needs_a_namespace() -> None:
    """A pod without a namespace is nobody's; a node needs none and gets none."""
    assert "no namespace" in why_not(namespace=None, resource="pod/web")
    assert "Not-A-Namespace" in why_not(namespace="Not-A-Namespace", resource="pod/web")
    assert found(resource="node/node-1") == Target("default", "Node", "node-1", None)


def test_the_next_mention_counts_when_one_is_invalid() -> None:
    """A label template that was never expanded does not hide the resource."""
    assert kind_and_name(labels={"deployment": "{{ $labels.x }}"}, resource="pod/web") == ("Pod", "web")


def test_the_top_owner_decides() -> None:
    """The last owner in the chain, or the object itself."""
    pod, replica_set, deployment = a_target(kind="Pod"), a_target(kind="ReplicaSet"), a_target()
    assert top_owner(pod, (replica_set, deployment)) == deployment
    assert top_owner(deployment, ()) == deployment


@given(st.dictionaries(_KEYS, _NAMES), st.dictionaries(_KEYS, _NAMES), st.none() | _NAMES, st.none() | _NAMES)
def test_every_alert_has_a_valid_target_or_a_reason(
    labels: dict[str, str], annotations: dict[str, str], resource: str | None, namespace: str | None
) -> None:
    """Never a name that Kubernetes could not have, never silence."""
    target = found(labels=labels, annotations=annotations, resource=resource, namespace=namespace)
    if isinstance(target, NoTarget):
        assert target.reason
    else:
        assert target.name in {"web", "web-1", "node-1", "kube-state-metrics-0"}
        assert (target.namespace is None) == (target.kind == "Node")
