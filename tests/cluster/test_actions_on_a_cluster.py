"""Every case of the table: effect, dry run, undo, drift, a rival in between. One right fewer: test_rights_...py."""

from typing import Any

import pytest
from tests.cluster.case import Case
from tests.cluster.cases import CASES, UNDOABLE
from tests.cluster.stage import Stage
from tests.executor.conftest import Executor
from tests.support.interposer import Interposer
from tests.support.kube import Object
from tests.support.processes import eventually

from executor_service.actions.catalogue import Catalogue

RIVALLED = tuple(case for case in CASES if case.rival is not None)
_LABEL = [{"op": "add", "path": "/metadata/labels/team", "value": "somebody-else"}]


def each(cases: tuple[Case, ...]) -> pytest.MarkDecorator:
    """One test per case, named after it."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def carried_out(case: Case, stage: Stage, **context: Any) -> Object:
    """Arrange, order, and the result, which must be a success."""
    case.arrange(stage)
    result = stage.order(case.type, case.parameters(stage), **context)
    assert (result["status"], result["success"]) == ("completed", True), result
    stage.notes["result"] = result
    return result


@pytest.mark.requirement("BR-WF-012")
@each(CASES)
def test_effect(case: Case, stage: Stage) -> None:
    """What was asked for is there for everybody to see when the action ends."""
    carried_out(case, stage)
    assert case.effect(stage.looking()), stage.own(case.thing(stage))


@pytest.mark.requirement("BR-WF-031")
@each(CASES)
def test_dry_run_changes_nothing(case: Case, stage: Stage) -> None:
    """The server says that it would work, the changes are told, and no resourceVersion moves."""
    case.arrange(stage)
    before = stage.quiet(case.thing(stage))
    result = stage.order(case.type, case.parameters(stage), dry_run=True)
    assert result["status"] == "completed", result
    assert bool(result["changes"]) == case.changes, result
    assert stage.versions(case.thing(stage)) == before


@pytest.mark.requirement("BR-WF-015")
@each(UNDOABLE)
def test_undo_restores_the_object(case: Case, stage: Stage) -> None:
    """After action and undo the object is what it was, except the server's own fields."""
    case.arrange(stage)
    target = case.thing(stage)
    before = stage.own(target)
    result = stage.order(case.type, case.parameters(stage))
    assert result["status"] == "completed", result
    undone = stage.undo(result["key"])
    assert undone["status"] == "completed", undone
    stage.restored(target, before)


@pytest.mark.requirement("BR-WF-015")
@each(UNDOABLE)
def test_undo_refuses_drift(case: Case, stage: Stage) -> None:
    """Somebody changed our field since: conflict, and nothing is changed."""
    key = carried_out(case, stage)["key"]
    target = case.thing(stage)
    assert case.drift is not None
    stage.kube.change(target, case.drift.operations)
    drifted = stage.own(target)
    refused = stage.undo(key)
    assert (refused["status"], refused["error"]["class"]) == ("failed", "conflict"), refused
    assert stage.own(target) == drifted


@pytest.mark.requirement("BR-WF-015")
@each(tuple(case for case in UNDOABLE if not case.creates))
def test_undo_keeps_what_others_did_elsewhere(case: Case, stage: Stage) -> None:
    """Somebody changed another field since: ours is taken back, theirs stays."""
    case.arrange(stage)
    target = case.thing(stage)
    before = stage.own(target)
    result = stage.order(case.type, case.parameters(stage))
    stage.kube.change(target, _LABEL)
    assert stage.undo(result["key"])["status"] == "completed"
    before["metadata"]["labels"]["team"] = "somebody-else"
    stage.restored(target, before)


@pytest.mark.requirement("BR-WF-015")
@each(tuple(case for case in CASES if case.changes and not case.spec.reversible))
def test_what_cannot_be_undone_says_so(case: Case, stage: Stage) -> None:
    """Its undo is refused, and the reason is one for people."""
    refused = stage.undo(carried_out(case, stage)["key"])
    assert (refused["status"], refused["error"]["class"]) == ("refused", "permanent"), refused
    assert "cannot be undone" in refused["error"]["message"]


@each(RIVALLED)
def test_a_rival_in_between_is_seen(case: Case, relayed_stage: Stage, relay: Interposer) -> None:
    """Somebody changes our field after we looked: our write is refused, we look again, and their value is `before`."""
    stage, rival = relayed_stage, case.rival
    assert rival is not None
    case.arrange(stage)
    target = case.thing(stage)
    path = stage.kube.path(target)
    relay.before("PATCH", path, lambda: stage.kube.change(target, rival.operations))
    result = stage.order(case.type, case.parameters(stage))
    assert result["status"] == "completed", result
    assert relay.codes("PATCH", path)[0] == 422
    ours = [change for change in result["changes"] if change["field"].startswith(rival.pointer)]
    assert all(change["before"] == (rival.seen or rival.value) for change in ours), ours
    assert case.effect(stage)


def test_every_action_has_a_case(direct_executor: Executor) -> None:
    """The whole catalogue is offered at this place, and nothing is offered that was never tried."""
    offer = direct_executor.http.get("/api/v1/actions").json()
    assert offer["unavailable"] == []
    assert {entry["type"] for entry in offer["actions"]} == {case.type for case in CASES}


def test_every_reversible_action_is_taken_back_in_a_case() -> None:
    """With its drift; a silence lives outside the cluster and has tests of its own (tests/executor)."""
    reversible = {spec.name for spec in Catalogue().specs if spec.reversible}
    assert reversible - {case.type for case in UNDOABLE} == {"create_silence"}


def test_a_rival_that_never_rests_wins(relayed_stage: Stage, relay: Interposer) -> None:
    """Whoever keeps changing our field is not overwritten: the action ends as a conflict and has changed nothing."""
    stage, case = relayed_stage, next(case for case in CASES if case.type == "scale_deployment")
    case.arrange(stage)
    target = case.thing(stage)
    numbers = iter(range(5, 60))

    def rival() -> None:
        stage.kube.change(target, [{"op": "replace", "path": "/spec/replicas", "value": next(numbers)}])

    relay.before("PATCH", stage.kube.path(target), rival, times=50)
    result = stage.order(case.type, case.parameters(stage))
    assert (result["status"], result["error"]["class"], result["changes"]) == ("failed", "conflict", []), result
    assert set(relay.codes("PATCH", stage.kube.path(target))) == {422}
    assert stage.kube.get(target)["spec"]["replicas"] > 4


def test_a_pod_that_was_replaced_meanwhile_is_left_alone(relayed_stage: Stage, relay: Interposer) -> None:
    """A pod of the same name but another uid is another pod: the delete is refused (409) and the newcomer lives."""
    stage = relayed_stage
    next(case for case in CASES if case.type == "scale_statefulset").arrange(stage)
    pod = stage.thing("Pod", "db-0")
    old = stage.kube.get(pod)["metadata"]["uid"]

    def replace() -> None:
        stage.kube.remove(pod, gracePeriodSeconds=0)
        fresh = eventually(lambda: _another(stage.kube.find(pod), old), "the pod is there anew")
        stage.notes["fresh"] = fresh["metadata"]["uid"]

    relay.before("DELETE", stage.kube.path(pod), replace)
    result = stage.order("restart_pod", {"namespace": stage.namespace, "resource_name": "db-0"})
    assert result["status"] == "completed", result
    assert relay.codes("DELETE", stage.kube.path(pod)) == [409]
    assert stage.kube.get(pod)["metadata"]["uid"] == stage.notes["fresh"]


def _another(pod: Object | None, uid: str) -> Object:
    return pod if pod is not None and pod["metadata"]["uid"] != uid else {}
