"""What an action looks at before its first write, and what it takes back by itself."""

import pytest
from tests.cluster.objects import autoscaler
from tests.cluster.scenes import NODE, at, full_node, unschedulable, web
from tests.cluster.stage import Stage
from tests.support.kube import Thing
from tests.support.processes import eventually


def test_what_an_autoscaler_owns_is_not_scaled_by_hand(stage: Stage) -> None:
    """It is found in whatever version of its API the cluster serves, and named with its bounds."""
    web(stage)
    stage.kube.create(autoscaler(stage.namespace, "web", api_version=stage.kube.api_version("autoscaling/v2")))
    order = {"namespace": stage.namespace, "resource_name": "web", "replicas": 4}
    result = stage.order("scale_deployment", order)
    assert (result["status"], result["error"]["class"], result["changes"]) == ("refused", "conflict", []), result
    assert "HorizontalPodAutoscaler web (2 to 5 pods)" in result["message"]
    assert at(stage, "Deployment", "web")["spec"]["replicas"] == 2


@pytest.mark.parametrize("above", ["Pod", "Deployment", "Namespace"])
def test_a_drain_says_what_is_protected_before_it_cordons(stage: Stage, above: str) -> None:
    """By the pod's annotation, its owner's or its namespace's: every such pod is named, and nothing is touched."""
    full_node(stage)
    pods = [pod["metadata"]["name"] for pod in stage.pods("web")]
    marked = {
        "Pod": Thing("Pod", stage.namespace, pods[0]),
        "Deployment": Thing("Deployment", stage.namespace, "web"),
        "Namespace": Thing("Namespace", "", stage.namespace),
    }[above]
    annotations = (stage.kube.get(marked)["metadata"].get("annotations") or {}) | {"kubernaut.io/protected": "true"}
    stage.kube.change(marked, [{"op": "add", "path": "/metadata/annotations", "value": annotations}])
    result = stage.order("drain_node", {"node_name": NODE})
    assert (result["status"], result["error"]["rule"], result["changes"]) == ("refused", "opted_out", []), result
    named = pods[:1] if above == "Pod" else pods
    assert result["error"]["value"].split(", ") == sorted(f"{stage.namespace}/{name}" for name in named)
    assert not unschedulable(stage)
    assert {pod["metadata"]["name"] for pod in stage.pods("web")} == {*pods}


def test_debug_mode_ends_by_itself(stage: Stage) -> None:
    """When its time is over the workload is what it was."""
    web(stage)
    target = stage.thing("Deployment", "web")
    before = stage.own(target)
    order = {"namespace": stage.namespace, "resource_name": "web", "duration": "2s"}
    key = stage.order("enable_debug_mode", order)["key"]
    assert stage.own(target) != before

    def over() -> bool:
        return bool(stage.executor.by_key(f"{key}:auto-revert").json()["status"] == "completed")

    eventually(over, "debug mode is over", within=stage.place.patience)
    stage.restored(target, before)
