"""Disruption budgets: a drain obeys them, tells which pods they kept, and leaves a way back."""

import pytest
from tests.cluster.objects import budget
from tests.cluster.scenes import NODE, full_node
from tests.cluster.stage import Stage
from tests.support.interposer import Interposer
from tests.support.kube import Thing
from tests.support.processes import eventually


def kept_in_place(stage: Stage) -> Thing:
    """The budget that never frees, once it is in force."""
    full_node(stage)
    made = Thing("PodDisruptionBudget", stage.namespace, "never")
    stage.kube.create(budget(stage.namespace, "web", api_version=stage.kube.api_version("policy/v1")))
    eventually(lambda: stage.kube.get(made)["status"].get("observedGeneration") == 1, "the budget is in force")
    return made


@pytest.mark.requirement("BR-WF-015")
def test_a_budget_that_never_frees_ends_the_drain(relayed_stage: Stage, relay: Interposer) -> None:
    """Each dry run says 429 until the deadline; then the pods are told, none is gone, and undo opens the node again."""
    stage, node = relayed_stage, Thing("Node", "", NODE)
    before = stage.own(node)
    kept_in_place(stage)
    names = {pod["metadata"]["name"] for pod in stage.pods("web")}
    result = stage.order("drain_node", {"node_name": NODE}, remaining_seconds=5)
    assert (result["status"], result["error"]["class"]) == ("failed", "timeout"), result
    assert all(f"{stage.namespace}/{name}" in result["error"]["message"] for name in names)
    assert {code for name in names for code in relay.codes("POST", f"/{name}/eviction", dry_run=True)} == {429}
    assert [code for name in names for code in relay.codes("POST", f"/{name}/eviction")] == []
    assert {pod["metadata"]["name"] for pod in stage.pods("web")} == names
    assert stage.undo(result["key"])["status"] == "completed"
    assert stage.own(node) == before


def test_a_drain_is_not_stopped_by_a_namespace_that_ends(relayed_stage: Stage, relay: Interposer) -> None:
    """Evictions are refused (403) in a namespace that is being deleted: no right is missing, its pods go anyway."""
    stage = relayed_stage
    full_node(stage)
    pod = next(pod["metadata"]["name"] for pod in stage.pods("web"))
    home = Thing("Namespace", "", stage.namespace)
    relay.before("POST", f"/{pod}/eviction", lambda: stage.kube.remove(home))
    result = stage.order("drain_node", {"node_name": NODE, "grace_period_seconds": 0})
    assert relay.codes("POST", f"/{pod}/eviction") == [403]
    assert result["status"] == "completed", result
    assert stage.pods("web") == []


def test_a_drain_goes_on_when_the_budget_frees(stage: Stage) -> None:
    """The budget is taken away while the drain waits: the pods go and the drain completes."""
    made = kept_in_place(stage)
    key = stage.begin("drain_node", {"node_name": NODE, "grace_period_seconds": 0})
    waiting = "wait for their disruption budget"
    eventually(lambda: waiting in str(stage.executor.by_key(key).json().get("progress")), "the drain waits")
    stage.kube.remove(made)
    result = stage.ended(key)
    assert result["status"] == "completed", result
    assert [pod["metadata"]["ownerReferences"][0]["kind"] for pod in stage.on_node(NODE)] == ["DaemonSet"]
