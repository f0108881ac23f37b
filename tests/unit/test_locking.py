"""What an execution has to hold alone, and from when to when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.factories import T0, a_graph, a_step, a_target, an_approval
from tests.unit.pretend_engine import engine_of
from workflow_service.domain import locking
from workflow_service.domain.plan import Action
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, Verb

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-004")
WEB = "target:default/production/deployment/web"


def lock(action: Action, sent: dict[str, Any] | None = None, **values: Any) -> str | None:
    """What a plan's only step takes."""
    graph = a_graph(a_step("one", action=action, **values), metadata={"owners": {"target:c/n/pod/web-1": "owner"}})
    return locking.lock_of(graph.steps["one"], sent, graph, cluster="c")


@pytest.mark.parametrize(
    ("kind", "parameters", "identity"),
    [
        ("scale_deployment", {"namespace": "n", "resource_name": "web"}, "target:c/n/deployment/web"),
        ("restart_pod", {"namespace": "n", "resource_name": "web-1"}, "owner"),
        ("restart_pod", {"namespace": "n", "resource_name": "w", "resource_type": "deploy"}, "target:c/n/deployment/w"),
        ("cordon_node", {"node_name": "node-1"}, "target:c/-/node/node-1"),
        ("scale_deployment", {"namespace": "n", "resource_name": "${{ item }}"}, None),
        ("notify_team", {"message": "x"}, None),
    ],
)
def test_parameters_name_what_is_changed(kind: str, parameters: dict[str, Any], identity: str | None) -> None:
    """Name, kind and namespace come from what is sent; an expression without a value names nothing yet."""
    given: dict[str, Any] = {"for_each": "['a']"} if "${{ item }}" in parameters.values() else {}
    assert lock(Action(kind, parameters), **given) == identity


def test_what_is_sent_wins_over_the_plan() -> None:
    """Another name among the parameters than the target's is what the executor acts on."""
    action = Action("scale_deployment", {"replicas": 3}, a_target())
    assert lock(action) == WEB
    assert lock(action, {"resource_name": "api"}) == WEB.replace("web", "api")
    assert lock(action, {"namespace": "production", "resource_name": "web"}) == WEB


def test_what_only_reads_has_no_lock() -> None:
    """Whatever it names."""
    assert lock(Action("collect_diagnostics", {}, a_target()), changes=False) is None


def test_all_that_the_plan_changes_is_held_from_the_beginning_to_the_end() -> None:
    """Before, nothing is; while an approval before the first effect is asked for, nothing is either."""
    engine = engine_of(
        an_approval("ask"), a_step("change", "ask"), a_step("other", action=Action("touch", {}, a_target(name="b")))
    )
    by_plan = locking.planned(engine.graph, cluster="c")
    assert locking.changed(engine.graph, engine.state, by_plan, cluster="c") == {WEB, WEB.replace("web", "b")}
    assert locking.holds(engine.graph, engine.state)
    engine.succeed("other")
    engine.obey()
    assert engine.state.status is ExecutionStatus.AWAITING_APPROVAL
    assert locking.holds(engine.graph, engine.state), "something was changed already"
    untouched = engine_of(an_approval("ask"), a_step("change", "ask"))
    assert not locking.holds(untouched.graph, untouched.state)
    untouched.command(Verb.APPROVE)
    untouched.obey()
    assert locking.holds(untouched.graph, untouched.state)
    untouched.drive_to_the_end()
    assert not locking.holds(untouched.graph, untouched.state)


def test_a_rollback_of_what_is_over_holds_only_what_was_changed() -> None:
    """What was never tried cannot be undone."""
    engine = engine_of(a_step("change"), a_step("other", "change", action=Action("touch", {}, a_target(name="b"))))
    state = RunState(status=ExecutionStatus.QUEUED, steps=engine.state.steps, wanted=Verb.ROLLBACK, waiting_since=T0)
    by_plan = locking.planned(engine.graph, cluster="c")
    assert locking.changed(engine.graph, state, by_plan, cluster="c") == {WEB}
    assert not locking.holds(engine.graph, state)
