"""The facts of a journal as they are stored, and as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.events import Event
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.run_state import recovery_from_json, step_from_json
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _items(value: Any) -> Any:
    """Of one step, a list; of a whole execution, a list for each step."""
    if isinstance(value, Mapping):
        return {name: tuple(items) for name, items in value.items()}
    return None if value is None else tuple(value)


KINDS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}
_FIELDS = {kind: tuple(item.name for item in fields(kind) if item.name != "at") for kind in Event.__args__}
_GETTERS = {kind: attrgetter("at", *names) for kind, names in _FIELDS.items()}  # `at`, so that each gives a tuple
_READ: Mapping[str, Any] = {
    "error_class": ErrorClass,
    "failure_class": lambda name: FailureClass(name) if name else None,
    "recoveries": lambda found: tuple(recovery_from_json(one) for one in found),
    "rollback": RollbackStatus,
    "status": ExecutionStatus,
    "verb": Verb,
    "steps": tuple,
    "inside": tuple,
    "changes": tuple,
    "evidence": tuple,
    "inherited": lambda steps: {name: step_from_json(step) for name, step in steps.items()},
    "retry_at": _moment,
    "prove_from": _moment,
    "until": _moment,
    "since": _moment,
    "items": _items,
}


def event_to_json(event: Event) -> dict[str, Any]:
    """Everything but kind and time, which are stored beside it."""
    kind = type(event)
    return dict(zip(_FIELDS[kind], _GETTERS[kind](event)[1:], strict=True)) if _FIELDS[kind] else {}


def event_from_json(kind: str, at: datetime, data: Mapping[str, Any]) -> Event:
    """Read a stored event.

    Raises:
        KeyError: no such kind of event is known here.
    """
    values = {name: _READ[name](value) if name in _READ else value for name, value in data.items()}
    return KINDS[kind](at=at, **values)


def describe(event: Event) -> dict[str, Any]:
    """One event as the API shows it."""
    return {"kind": type(event).__name__, **asdict(event)}
