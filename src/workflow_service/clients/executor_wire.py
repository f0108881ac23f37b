"""The executor's wire format (design section 9) to and from the port's values; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.target import Target
from workflow_service.ports import ActionOutcome, ActionRequest, Observation

# What foreign executors say for "not done yet" besides the contract's `running`.
_RUNNING = frozenset({"running", "pending", "queued", "accepted", "executing", "in_progress"})
_NOT_DONE = frozenset({"failed", "refused", "cancelled"})
_ERROR_CLASSES = frozenset(ErrorClass)


def execute_body(request: ActionRequest) -> dict[str, Any]:
    """The body of `POST /api/v1/execute`; the key travels as a header."""
    return {
        "action": {
            "id": request.step_id,
            "type": request.type,
            "parameters": request.parameters,
            "priority": request.priority,
            "critical": request.critical,
            "estimated_duration": request.estimated_duration,
        },
        "alert": request.alert or None,
        "context": {
            "workflow_id": request.workflow_id,
            "execution_id": request.execution_id,
            "step_id": request.step_id,
            "attempt": request.attempt,
            "remaining_seconds": request.remaining_seconds,
            "dry_run": request.dry_run,
            "cluster": request.cluster,
        },
    }


def observe_body(target: Target) -> dict[str, Any]:
    """The body of `POST /api/v1/observe`."""
    namespace = {"namespace": target.namespace} if target.namespace else {}
    return {"kind": target.kind, "name": target.name, **namespace}


def outcome(document: object) -> ActionOutcome | None:
    """The result that `document` is, or None when it is none.

    Foreign executors answer {success, action_id, status, message, timestamp} only. Where `success` and `status`
    contradict each other the worse of the two is believed.
    """
    if not isinstance(document, Mapping):
        return None
    success, said = document.get("success"), document.get("status")
    if not isinstance(success, bool) or not isinstance(said, str):
        return None
    status = _status(said, success=success)
    error, undo = _mapping(document.get("error")), _mapping(document.get("undo"))
    return ActionOutcome(
        status=status,
        message=str(document.get("message") or error.get("message") or ""),
        action_id=_text(document.get("action_id")),
        result=_mapping(document.get("result")),
        changes=tuple(change for change in _sequence(document.get("changes")) if isinstance(change, Mapping)),
        undo_available=undo.get("available") is True,
        undo_reason=_text(undo.get("reason")),
        error_class=_error_class(status, error),
        ledger_id=_text(document.get("ledger_id")),
        progress=_text(document.get("progress")),
    )


def observation(document: Mapping[str, Any], *, cluster: str) -> Observation:
    """What `POST /api/v1/observe` answered. Raises ValueError naming the field that makes no sense."""
    found = document.get("found")
    if not isinstance(found, bool):
        raise ValueError(f"found: {found!r} must be true or false")  # noqa: TRY004 - a wrong value, not a wrong call
    observed_at = datetime.fromisoformat(str(document.get("observed_at")))
    return Observation(
        found=found,
        facts=_mapping(document.get("facts")),
        owners=tuple(_owner(owner, cluster) for owner in _sequence(document.get("owners"))),
        observed_at=observed_at if observed_at.tzinfo else observed_at.replace(tzinfo=UTC),
    )


def complaint(document: object) -> str:
    """What a problem document (RFC 9457, with our `errors`) or a foreign error body says, in one line."""
    if not isinstance(document, Mapping):
        return ""
    said = str(document.get("detail") or document.get("title") or document.get("message") or "")
    broken = [
        f"{error.get('field')}: {error.get('value')!r} {error.get('rule')}"
        for error in _sequence(document.get("errors"))
        if isinstance(error, Mapping)
    ]
    return "; ".join(part[:500] for part in (said, *broken) if part)


def _status(said: str, *, success: bool) -> str:
    word = said.lower()
    if word in _RUNNING:
        return "running"
    if word in _NOT_DONE:
        return word
    return "completed" if success else "failed"


def _error_class(status: str, error: Mapping[str, Any]) -> ErrorClass | None:
    said = error.get("class")
    if said in _ERROR_CLASSES:
        return ErrorClass(str(said))
    return ErrorClass.UNKNOWN if error or status in {"failed", "refused"} else None


def _owner(raw: object, cluster: str) -> Target:
    owner = _mapping(raw)
    if not owner.get("kind") or not owner.get("name"):
        raise ValueError(f"owners: {raw!r} must have kind and name")
    return Target(cluster, str(owner["kind"]), str(owner["name"]), _text(owner.get("namespace")))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
