"""What the API says about one workflow, as far as the verdict needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow_service.faultkit.cluster import Field, Target

FIELDS = {"increase_resources": Field.MEMORY, "scale_deployment": Field.REPLICAS, "restart_pod": Field.RESTARTED}
_TRIED_TO_UNDO = frozenset({"undoing", "undone", "undo_failed"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step that changes a field of the target."""

    field: Field
    tried: bool  # an attempt was journalled: the change is intended from then on
    told: bool  # the journal says that the change was made
    undo: str
    keys: tuple[str, ...]

    @property
    def marks(self) -> Iterator[str]:
        """What the executor writes as restart mark for each key of this step."""
        return (hashlib.sha256(key.encode()).hexdigest()[:16] for key in self.keys)

    @property
    def tried_to_undo(self) -> bool:
        """Whether an undo was asked for."""
        return self.undo in _TRIED_TO_UNDO


@dataclass(frozen=True, slots=True)
class Story:
    """One workflow as its newest execution tells it."""

    workflow_id: str
    executions: frozenset[str]  # the newest and those that it inherited from
    target: Target
    alert_name: str
    status: str
    reason: str
    cause: str
    rollback: str
    created_at: datetime
    must_end_by: datetime | None
    ended_at: datetime | None
    steps: tuple[Step, ...]
    history: tuple[str, ...] = ()  # its newest execution's journal: when, what, about which step

    @property
    def seconds(self) -> float | None:
        """From the alert to the end; None while it is not over."""
        return (self.ended_at - self.created_at).total_seconds() if self.ended_at else None


def read(detail: Mapping[str, Any]) -> Story:
    """The story in a `GET /api/v1/workflows/{id}`."""
    result, alert = detail["result"], detail["alert"]
    inherited = {event["source"] for event in detail["events"] if event["kind"] == "Inherited"}
    return Story(
        workflow_id=detail["workflow_id"],
        executions=frozenset({detail["execution_id"], *inherited}),
        target=Target(alert["namespace"], alert["resource"].removeprefix("deployment/")),
        alert_name=detail["alert_name"],
        status=detail["status"],
        reason=detail["reason"],
        cause=detail["cause"],
        rollback=detail["rollback"],
        created_at=datetime.fromisoformat(detail["created_at"]),
        must_end_by=_moment(detail["must_end_by"]),
        ended_at=_moment(detail["ended_at"]),
        steps=tuple(_steps(result["execution_details"]["steps"])),
        history=tuple(f"{event['at']} {event['kind']} {event.get('step', '')}".strip() for event in detail["events"]),
    )


def _steps(steps: list[Mapping[str, Any]]) -> Iterator[Step]:
    for step in steps:
        field = FIELDS.get(step["type"] or "")
        if field is not None:
            keys = tuple(step["keys"])
            yield Step(field, tried=bool(keys), told=bool(step["changes"]), undo=step["undo"], keys=keys)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
