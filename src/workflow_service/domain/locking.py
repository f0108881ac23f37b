"""Which objects an execution changes, and when it has to hold them alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflow_service.domain.graph import Graph
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.plan import Action, Step
from workflow_service.domain.run_state import INHERITED, RunState
from workflow_service.domain.states import ExecutionStatus, Verb
from workflow_service.domain.target import KINDS, Target

OWNERS = "owners"  # in a plan's metadata: the identity of an object -> that of who decides about it in the end
_NAMING = ("namespace", "resource_name", "resource_type", "node_name")


def lock_of(step: Step, parameters: Mapping[str, Any] | None, graph: Graph, *, cluster: str) -> str | None:
    """The identity of what a step changes, its top owner's where the plan knows one.

    `parameters` are those that are sent, None: the plan's. The answer is None when the step changes nothing, names
    nothing, or names it by an expression that has no value yet. `cluster` is meant where the plan names none.
    """
    if step.action is None or not step.changes:
        return None
    target = touched(step.action, step.action.parameters if parameters is None else parameters, cluster)
    if target is None:
        return None
    owners = graph.plan.metadata.get(OWNERS) or {}
    return str(owners.get(target.identity, target.identity))


def planned(graph: Graph, *, cluster: str) -> dict[str, str | None]:
    """What each step changes, as far as the plan says it."""
    return {name: lock_of(step, None, graph, cluster=cluster) for name, step in graph.steps.items()}


def changed(graph: Graph, state: RunState, by_plan: Mapping[str, str | None], *, cluster: str) -> frozenset[str]:
    """The identities of all that the execution may change, as far as they are known by now: `planned`, and more.

    What a retry keeps is among them, since a later failure may undo it. A rollback of what is over changes only what
    was changed.
    """
    only_undoes = state.wanted is Verb.ROLLBACK and state.started_at is None
    found: set[str | None] = set()
    for name, step in graph.steps.items():
        attempts = state.steps[name].attempts if name in state.steps else ()
        if only_undoes and not attempts:
            continue
        found.add(by_plan[name])
        for parameters in (attempt.parameters for attempt in attempts if attempt.parameters is not None):
            found.add(lock_of(step, parameters, graph, cluster=cluster))
    return frozenset(identity for identity in found if identity is not None)


def holds(graph: Graph, state: RunState) -> bool:
    """Whether the execution has to hold what it changes: from its beginning to its end, standstills included.

    Only who stands still before the first effect holds nothing: it would keep others away for nothing.
    """
    if state.final or state.awaits:
        return False
    ending = state.rollback_started_at is not None or state.conclusion is not None
    begun = state.started_at is not None and state.status is not ExecutionStatus.QUEUED
    if not ending and not begun:
        return False
    return ending or state.stopped_at is None or any(_touched(graph, state))


def _touched(graph: Graph, state: RunState) -> Iterator[bool]:
    yield state.status is ExecutionStatus.VERIFYING
    for name, step in state.steps.items():
        yield graph.steps[name].changes and any(attempt.number != INHERITED for attempt in step.attempts)


def touched(action: Action, parameters: Mapping[str, Any], cluster: str) -> Target | None:
    """What the parameters name; what they leave open is the action's own target's."""
    own = action.target
    naming = {name: parameters[name] for name in _NAMING if parameters.get(name)}
    if not naming:
        return own
    if has_expressions(naming):
        return None
    cluster = own.cluster if own else cluster
    if node := naming.get("node_name"):
        return Target(cluster, "Node", str(node))
    if not naming.get("resource_name"):
        return own
    name, namespace = str(naming["resource_name"]), naming.get("namespace", own.namespace if own else None)
    if own is not None and (own.name, own.namespace) == (name, namespace):
        return own
    word = str(naming.get("resource_type") or action.type.rpartition("_")[2]).lower()
    kind = KINDS.get(word) or (own.kind if own else word)
    return Target(cluster, kind, name, str(namespace) if namespace else None)
