"""An action as the guards and the audit see it: who asked for what, and what it is about."""

from dataclasses import dataclass

from executor_service.contract import Json, ObjectRef

UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Asked:
    """One action under way. `subject` is the first object that it wanted to change."""

    key: str
    type: str
    caller: str
    workflow_id: str | None
    execution_id: str | None
    step_id: str | None
    subject: ObjectRef
    first: bool
    """Whether it has changed nothing yet."""

    @property
    def undo(self) -> bool:
        """Whether it only takes back what was done: neither cool-down nor limits hold it up."""
        return self.type == UNDO


def asked_of(key: str, action_type: str, request: dict[str, Json], *, subject: ObjectRef, first: bool) -> Asked:
    """From the request as the ledger keeps it."""
    context = request.get("context") or {}
    ids = {name: context.get(name) or None for name in ("workflow_id", "execution_id", "step_id")}
    caller = str(request.get("caller") or "unknown")
    return Asked(key=key, type=action_type, caller=caller, subject=subject, first=first, **ids)
