"""What `decide` can answer: every move of an execution, as values that the engine obeys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.failures import Failure
from workflow_service.domain.states import ExecutionStatus, RollbackStatus


@dataclass(frozen=True, slots=True)
class Begin:
    """Start the run clock."""


@dataclass(frozen=True, slots=True)
class StartStep:
    """Journal `started`, then call the executor with this key. `parameters` None: those of the plan, as they are."""

    step: str
    attempt: int
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ResumeStep:
    """An attempt was started and nobody carries it: ask by its key what became of it."""

    step: str
    attempt: int
    key: str
    ledger_id: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """See whether the step's conditions hold, those before it or those after it, at most until `until`."""

    step: str
    after: bool
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class StopLook:
    """Nobody needs to know any more; `step` may stand for a recovery that is asked for."""

    step: str


@dataclass(frozen=True, slots=True)
class BeginStep:
    """The step asks nobody for an action: it begins to wait, to look, or to be approved."""

    step: str
    until: datetime
    approval: bool = False


@dataclass(frozen=True, slots=True)
class OpenStep:
    """The steps inside it may begin; for a forEach step, one for each item."""

    step: str
    items: tuple[Any, ...] | None = None
    inside: tuple[str, ...] = ()
    parameters: Mapping[str, Any] | None = None  # of a template


@dataclass(frozen=True, slots=True)
class PassStep:
    """The step is done."""

    step: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class FailStep:
    """The step has failed, and no action's answer says so. `reason` is for machines."""

    step: str
    reason: str
    message: str
    failure_class: FailureClass | None = None  # of what has failed inside it; None: it is nobody else's failure


@dataclass(frozen=True, slots=True)
class SkipStep:
    """The step is not needed."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancelStep:
    """The step will not be started any more."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoseStep:
    """What became of a key that an earlier execution sent is still not known, and nobody will ask any more."""

    step: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class BeginVerifying:
    """All is done; from now on it is verified."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is in flight any more: stand still."""


@dataclass(frozen=True, slots=True)
class Park:
    """All that is left waits for time or for a person's word: stand still until then."""

    until: datetime
    approval: bool


@dataclass(frozen=True, slots=True)
class Unpark:
    """There is something to do again: the run clock goes on."""


@dataclass(frozen=True, slots=True)
class BeginRecovery:
    """Look for another way before anything is given up for a step of the top level that is broken for good."""

    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class AskRecovery:
    """Ask who may know another way. What is in flight meanwhile finishes."""

    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class RefuseRecovery:
    """Another way is not to be asked for. `reason` is for machines."""

    attempt: int
    failure: Failure
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class Escalate:
    """Say aloud that a person is needed."""

    step: str
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class BeginRollback:
    """From now on only undo."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartUndo:
    """Take back what this key changed. `settle`: its outcome is unknown, so cancel it by key first."""

    step: str
    key: str
    tries: int
    settle: bool
    resumed: bool  # an earlier drive had sent it: the same undo key asks for its outcome


@dataclass(frozen=True, slots=True)
class GiveUpUndo:
    """The rollback's bound has passed; this one stays undone and says so."""

    step: str
    key: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """How it ends is known; the `finally` steps come before that."""

    status: ExecutionStatus
    reason: str
    cause: str
    rollback: RollbackStatus


@dataclass(frozen=True, slots=True)
class Finish:
    """The last word."""

    status: ExecutionStatus
    reason: str
    cause: str
    rollback: RollbackStatus


Action = (
    Begin
    | StartStep
    | ResumeStep
    | Look
    | StopLook
    | BeginStep
    | OpenStep
    | PassStep
    | FailStep
    | SkipStep
    | CancelStep
    | LoseStep
    | BeginVerifying
    | Pause
    | Park
    | Unpark
    | BeginRecovery
    | AskRecovery
    | RefuseRecovery
    | Escalate
    | BeginRollback
    | StartUndo
    | GiveUpUndo
    | Conclude
    | Finish
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, in order, and when to ask again if nothing happens before."""

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None
