"""The facts in a notice: what would be done, what was changed, what can be taken back. Without secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflow_service.domain.graph import Graph
from workflow_service.domain.redaction import cleaned
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import UndoStatus

LINES = 20  # changes, or steps, that one notice names; it says how many there are
WORDS, VALUE = 500, 100  # characters of a sentence, of a value
_UNDOABLE = frozenset({UndoStatus.AVAILABLE, UndoStatus.UNDO_FAILED, UndoStatus.UNDOING})


def words(text: str) -> str:
    """A sentence that quotes others."""
    return cleaned(text, WORDS)


def value(given: object) -> str:
    """A value as people read it."""
    return cleaned(str(given), VALUE)


def to_do(graph: Graph, state: RunState) -> dict[str, Any]:
    """The actions of the plan that have not been done."""
    known = [name for name in graph.order if graph.steps[name].action is not None and name in state.steps]
    open_ = [name for name in known if not state.steps[name].final]
    return {"actions": [_action(name, graph) for name in open_[:LINES]], "number": len(open_)}


def _action(name: str, graph: Graph) -> dict[str, Any]:
    step = graph.steps[name]
    action = step.action
    target = action.target.identity if action is not None and action.target is not None else ""
    return {
        "step": value(name),
        "action": value(action.type if action is not None else ""),
        "target": value(target),
        "parameters": {value(key): _parameter(key, one) for key, one in step.given_parameters.items()},
        "undo": "reversible" if step.reversible else words(step.irreversible_reason or "irreversible"),
    }


def _parameter(name: str, given: object) -> str:
    """Its name may be what tells that it is a secret."""
    marked = f"{name}={given}"
    shown = cleaned(marked, len(name) + 1 + VALUE)
    return value(given) if shown.startswith(f"{name}=") else shown


def changed(state: RunState) -> dict[str, Any]:
    """What was changed and is not as it was; whether any of it can be taken back."""
    found = list(_changes(state))
    open_ = any(one["undo"] in _UNDOABLE for one in found)
    return {"changes": found[:LINES], "changed": len(found), "undo_possible": open_}


def _changes(state: RunState) -> Iterator[Mapping[str, Any]]:
    for name, step in state.steps.items():
        for attempt in step.attempts:
            if attempt.undo in {UndoStatus.UNDONE, UndoStatus.NONE} and not attempt.changes:
                continue
            for change in attempt.changes or ({},):  # something that can or cannot be undone, whatever it was
                if attempt.undo is not UndoStatus.UNDONE:
                    yield {"step": value(name), "undo": str(attempt.undo), **_change(change)}


def _change(change: Mapping[str, Any]) -> dict[str, str]:
    """As the executor told it: any of it may be missing."""
    where = "/".join(value(change[part]) for part in ("namespace", "kind", "name") if change.get(part))
    field = value(change.get("field", ""))
    sides = {side: _parameter(field, change.get(side)) for side in ("before", "after")}
    return {"object": where, "field": field, **sides}
