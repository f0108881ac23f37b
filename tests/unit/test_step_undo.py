"""A step that says itself how patiently it is tried and what takes it back."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.unit.factories import ALERT, CHANGE, a_graph, a_run, a_step, started, succeeded
from tests.unit.planning_cases import WEB, plan_for, seen
from workflow_service.domain import decisions as do
from workflow_service.domain.errors import ErrorClass, InvalidRules
from workflow_service.domain.failure_class import Patterns
from workflow_service.domain.plan import Action, RetryPolicy, plan_to_json
from workflow_service.domain.run_state import RunState
from workflow_service.domain.stored_plan import plan_from_json
from workflow_service.engine.errands import Errand, Errands
from workflow_service.planning.rule_file import load_rules
from workflow_service.ports import ActionOutcome
from workflow_service.store.executions import Record

NOW = datetime(2026, 11, 23, tzinfo=UTC)
RULES = """
version: 1
rules:
- name: one
  reason: because
  actions:
  - id: scale
    type: scale_deployment
    on: owner
    parameters: {namespace: "{namespace}", resource_name: "{name}", replicas: 3}
    retry: {maxAttempts: 5, backoff: fixed, delay: 2s, maxDelay: 10s, on: [conflict]}
    rollback:
      type: scale_deployment
      parameters: {namespace: "{namespace}", resource_name: "{name}", replicas: "${{ result.before }}"}
"""


def errands(graph: Any) -> Errands:
    """The errands of one execution."""
    record = Record("exec-1", "wf-1", ALERT, "high", "running", 1, NOW, 0, graph.plan, ())
    return Errands(record, graph, cluster="default", jitter=lambda: 0.5, patterns=Patterns())


def undo(**answer: Any) -> Errand:
    """What is asked to take back a step whose action has answered so."""
    graph = a_graph(a_step("scale", rollback=Action("scale_deployment", {"replicas": "${{ result.before }}"})))
    state: RunState = a_run(graph, started("scale"), succeeded("scale", **answer))
    action = do.StartUndo("scale", "exec-1:scale", tries=0, settle=False, resumed=False)
    return errands(graph).for_undo(action, state, "ledger-1", NOW)


@pytest.mark.requirement("BR-WF-005")
def test_patience_and_undo_reach_the_plan_and_survive_the_database() -> None:
    """Every key of `retry` and `rollback` is in the step, and a stored plan reads back as itself."""
    plan = plan_for(seen(WEB, owner={"replicas": 2}), rules=load_rules(RULES), resource="pod/web-server-123")
    [step] = plan.steps
    assert step.retry == RetryPolicy(4, 2.0, 1.0, 10.0, (ErrorClass.CONFLICT,))
    given = {"namespace": "production", "resource_name": "web-server", "replicas": "${{ result.before }}"}
    assert step.rollback == Action("scale_deployment", given, WEB)
    assert (plan.format, step.reversible) == (5, True)
    assert plan_from_json(orjson.loads(orjson.dumps(plan_to_json(plan)))) == plan


@pytest.mark.requirement("BR-WF-020")
def test_a_step_is_taken_back_as_it_says() -> None:
    """Its own action with what the executor had answered; without known changes or that answer, the executor's undo."""
    own = undo(result={"before": 2}).call.request
    assert (own.key, own.type, own.parameters) == ("exec-1:scale:undo", "scale_deployment", {"replicas": 2})
    others: tuple[dict[str, Any], ...] = ({"result": {}}, {"result": {"before": 2}, "changes": ()})
    for answer in others:
        assert undo(**answer).call.request.type == "undo"


def test_changes_with_a_way_back_are_never_called_irreversible() -> None:
    """An executor that cannot undo an action itself leaves the step's own way."""
    graph = a_graph(a_step("scale", rollback=Action("scale_deployment", {"replicas": 2})), a_step("other"))
    run = a_run(graph, started("scale"), started("other"))
    ways = []
    for name in ("scale", "other"):
        attempt = run.steps[name].attempts[-1]
        errand = errands(graph).for_attempt(name, attempt, run, fresh=True)
        answer = ActionOutcome("completed", changes=(CHANGE,), undo_available=False)
        event = errands(graph).outcome(errand, answer, run, NOW)
        ways.append(getattr(event, "undo_available", None))
    assert ways == [True, False]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("result.before", "result_before", "rollback.parameters.*undeclared reference"),
        ("delay: 2s", "delay: soon", "retry.delay"),
        ("on: [conflict]", "on: [sometimes]", "retry.on.0"),
        ("    retry:", "    retries: 1\n    retry:", "must not be given together"),
        ('{namespace}", resource_name: "{name}", replicas: "${{', '{nowhere}", replicas: "${{', "no placeholder"),
    ],
)
def test_what_is_wrong_with_them_is_named(old: str, new: str, says: str) -> None:
    """An unknown name in the undo, a time that is none, an unknown error class, attempts said twice."""
    assert old in RULES
    with pytest.raises(InvalidRules, match=says):
        load_rules(RULES.replace(old, new))
