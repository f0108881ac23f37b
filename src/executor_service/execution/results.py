"""A ledger row as the RESULT that callers see."""

import time
from datetime import UTC, datetime

from executor_service.actions.catalogue import Catalogue
from executor_service.actions.changes import change_list
from executor_service.contract import Json, Verb
from executor_service.ledger.ledger import Ledger
from executor_service.ledger.rows import ActionRow, Intent, IntentState


class Results:
    """Renders rows; needs the catalogue for reversibility and the ledger for effects so far."""

    def __init__(self, ledger: Ledger, catalogue: Catalogue, *, cluster: str, undo_seconds: float) -> None:
        self._ledger = ledger
        self._catalogue = catalogue
        self._cluster = cluster
        self._undo_seconds = undo_seconds

    async def render(self, row: ActionRow) -> dict[str, Json]:
        """The wire form. A running action lists the changes it has made so far."""
        intents = [item for item in await self._ledger.intents(row.key) if item.write.verb is not Verb.DELIVER]
        done = [item for item in intents if item.state is IntentState.APPLIED]
        so_far = change_list([item.write for item in done], self._cluster)
        wire: dict[str, Json] = {
            "success": row.status == "completed",
            "action_id": row.action_id,
            "key": row.key,
            "status": row.status.value,
            "message": row.message,
            "timestamp": rfc3339(row.finished_at or time.time()),
            "result": row.result,
            "changes": row.changes if row.final else so_far,
            "undo": self._undo(row, done),
            "error": row.error,
            "ledger_id": self._ledger.ledger_id,
        }
        return wire | ({"progress": row.progress} if row.progress else {})

    def _undo(self, row: ActionRow, done: list[Intent]) -> dict[str, Json]:
        reason = self._no_undo(row, done)
        if reason is not None:
            return {"available": False, "reason": reason}
        return {"available": True, "until": rfc3339((row.finished_at or 0.0) + self._undo_seconds)}

    def _no_undo(self, row: ActionRow, done: list[Intent]) -> str | None:
        spec = self._catalogue.find(row.type)
        if not row.final:
            return "the action is still running"
        if spec is not None and not spec.reversible:
            return spec.irreversible_reason
        patches = [item for item in done if item.write.takes_back]
        if not patches:
            return "what it did is not taken back" if done else "nothing was changed"
        if all(item.undone_by for item in patches):
            return f"already undone by {patches[-1].undone_by}"
        expired = time.time() > (row.finished_at or 0.0) + self._undo_seconds
        return "the time to undo is over" if expired else None


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as an RFC 3339 time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
