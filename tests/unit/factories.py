"""Values with defaults for tests: name what matters, the rest is ordinary."""

from datetime import UTC, datetime, timedelta
from typing import Any

from workflow_service.domain import events as ev
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.plan import Action, Condition, OnFailure, Plan, RetryPolicy, Step, StepKind
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import Verb
from workflow_service.domain.target import Target

T0 = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
EXECUTION = "exec-1"
ALERT = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production", "labels": {"app": "web"}}
CHANGE = {
    "kind": "Deployment",
    "namespace": "production",
    "name": "web",
    "field": "spec.replicas",
    "before": 2,
    "after": 3,
}


def at(seconds: float) -> datetime:
    """That many seconds after the tests' beginning of time."""
    return T0 + timedelta(seconds=seconds)


def key_of(step: str, attempt: int = 0, execution: str = EXECUTION) -> str:
    """The idempotency key that the engine gives an attempt."""
    return f"{execution}:{step}:r{attempt}" if attempt else f"{execution}:{step}"


def a_target(**values: Any) -> Target:
    """A deployment in production."""
    return Target(**{"cluster": "default", "kind": "Deployment", "name": "web", "namespace": "production", **values})


def an_action(**values: Any) -> Action:
    """Scaling a deployment."""
    return Action(
        **{"type": "scale_deployment", "parameters": {"replicas": 3}, "target": a_target(), **values},
    )


def action_of(step: Step) -> Action:
    """What the step asks of the executor; it does ask."""
    assert step.action is not None
    return step.action


def a_step(step_id: str = "scale", *needs: str, **values: Any) -> Step:
    """A critical step that is tried once; its answer to failure follows `alternative`."""
    answer = OnFailure.ALTERNATIVE if values.get("alternative") else OnFailure.STOP
    defaults = {"action": an_action(), "needs": needs, "on_failure": answer, "retry": RetryPolicy(max_retries=0)}
    return Step(id=step_id, **{**defaults, **values})


def a_wait(step_id: str, *needs: str, seconds: float = 10, **values: Any) -> Step:
    """A step that lets time pass."""
    return a_step(step_id, *needs, action=None, kind=StepKind.WAIT, wait=seconds, **values)


def a_check(step_id: str, *needs: str, **values: Any) -> Step:
    """A step that looks whether the deployment is ready."""
    ready = Condition("observed.ready_replicas >= 3", target=a_target())
    return a_step(step_id, *needs, **{"action": None, "kind": StepKind.CHECK, "postconditions": (ready,), **values})


def an_approval(step_id: str, *needs: str, **values: Any) -> Step:
    """A step that waits for a person's word for ten minutes."""
    return a_step(step_id, *needs, **{"action": None, "kind": StepKind.APPROVAL, "deadline": 600.0, **values})


def a_template(step_id: str, *needs: str, steps: tuple[Step, ...], **values: Any) -> Step:
    """A step that consists of these."""
    return a_step(step_id, *needs, action=None, kind=StepKind.TEMPLATE, steps=steps, **values)


def a_plan(*steps: Step, **values: Any) -> Plan:
    """A fallback plan of these steps, or of one ordinary step."""
    defaults = {"reason": "the deployment is short of CPU", "creation_method": "fallback"}
    return Plan(steps=steps or (a_step(),), **{**defaults, **values})


def a_graph(*steps: Step, **values: Any) -> Graph:
    """The graph of `a_plan`."""
    return validate(a_plan(*steps, **values))


def begun(graph: Graph) -> tuple[ev.Event, ...]:
    """The journal of an execution whose clock has just started, at T0."""
    planned = ev.Planned(T0, graph.plan.hash, tuple(graph.steps))
    return ev.PlanningStarted(T0), planned, ev.Started(T0)


def a_run(graph: Graph, *events: ev.Event) -> RunState:
    """The state of a running execution after these events."""
    return fold_all((*begun(graph), *events))


def started(step: str, attempt: int = 0, *, after: float = 0) -> ev.StepStarted:
    """An attempt was started."""
    return ev.StepStarted(at(after), step, attempt, key_of(step, attempt), "ledger-1")


def succeeded(step: str, attempt: int = 0, *, after: float = 0, **values: Any) -> ev.StepSucceeded:
    """It succeeded and changed something that can be taken back."""
    defaults = {"changes": (CHANGE,), "undo_available": True}
    return ev.StepSucceeded(at(after), step, key_of(step, attempt), **{**defaults, **values})


def failed(step: str, attempt: int = 0, *, after: float = 0, **values: Any) -> ev.AttemptFailed:
    """It failed for good and changed nothing."""
    defaults = {"error_class": ErrorClass.PERMANENT, "message": "image not found"}
    return ev.AttemptFailed(at(after), step, key_of(step, attempt), **{**defaults, **values})


def said(verb: Verb, *, after: float = 5, **arguments: object) -> ev.CommandApplied:
    """Somebody's command is obeyed."""
    return ev.CommandApplied(at(after), f"{verb}-1", verb, "ana", "told to", arguments)


def done(*steps: str) -> tuple[ev.Event, ...]:
    """These steps succeeded."""
    return tuple(event for step in steps for event in (started(step), succeeded(step)))
