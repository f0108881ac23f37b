"""The ledger's rows as values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from executor_service.contract import Json, Status, Write

TOMBSTONE = "tombstone"
"""The action type of a key that was cancelled before it was ever seen."""


class IntentState(StrEnum):
    """An intent is in doubt until somebody knows whether it was applied; what was not applied is deleted."""

    PENDING = "pending"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One key and everything known about its action. Times are seconds since the epoch."""

    key: str
    action_id: str
    fingerprint: str
    type: str
    parameters: dict[str, Json]
    dry_run: bool
    request: dict[str, Json]
    status: Status
    cancel_requested: bool
    message: str
    progress: str | None
    result: dict[str, Json]
    changes: list[dict[str, Json]]
    error: dict[str, Json] | None
    created_at: float
    deadline_at: float
    finished_at: float | None

    @property
    def final(self) -> bool:
        """Whether the row will never change again."""
        return self.status is not Status.RUNNING


@dataclass(frozen=True, slots=True)
class Intent:
    """One effect of an action, stored before it was sent."""

    key: str
    slot: str
    seq: int
    write: Write
    state: IntentState
    planned_at: float
    undone_by: str | None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an action ended."""

    status: Status
    message: str
    result: dict[str, Json]
    changes: list[dict[str, Json]]
    error: dict[str, Json] | None = None


def action_row(mapping: Any) -> ActionRow:
    """A database row of `actions` as a value."""
    return ActionRow(**dict(mapping) | {"status": Status(mapping["status"])})


def intent_row(mapping: Any) -> Intent:
    """A database row of `intents` as a value (without its snapshot)."""
    chosen = {name: mapping[name] for name in ("key", "slot", "seq", "planned_at", "undone_by")}
    return Intent(**chosen, write=Write.from_json(mapping["effect"]), state=IntentState(mapping["state"]))
