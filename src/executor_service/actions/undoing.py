"""Taking back what an earlier action changed: field by field, only where nobody else has been since."""

import time
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Parameters
from executor_service.contract import ActionFailedError, ErrorClass, Json, Verb, Write
from executor_service.kubernetes.pointers import contains, resolve, same
from executor_service.kubernetes.writing import fingerprint_of, plan_patch, plan_removal
from executor_service.ledger.rows import ActionRow, Intent, IntentState


class Undo(Parameters):
    """Parameters of undo."""

    key: Annotated[str, Field(min_length=1, max_length=256, description="Idempotency key of the action to take back")]
    force: bool = Field(default=False, description="Write the old values even over foreign changes")
    not_before: Annotated[float | None, Field(ge=0, description="Wait until then (seconds since 1970, UTC)")] = None


async def undo(run: Run, parameters: Undo) -> Done:
    """Write the earlier values back. Raises conflict on drift (unless forced); no effect left is a success."""
    await _wait(run, parameters.not_before)
    target = await run.world.ledger.get(parameters.key)
    if target is None:
        raise ActionFailedError(ErrorClass.NOT_FOUND, f"key {parameters.key!r} is not in this ledger", refused=True)
    if not target.final:
        raise ActionFailedError(ErrorClass.CONFLICT, f"the action of {parameters.key!r} is still running", refused=True)
    applied = await _applied(run, target)
    if not applied:
        return Done("nothing to undo: the action changed nothing", {"undone": 0})
    _refuse_irreversible(run, target)
    ordered = applied if target.type in run.world.undone_forwards else applied[::-1]
    reversible = [item for item in ordered if item.write.takes_back]
    if not reversible:
        return Done("nothing to undo: what it did is not taken back", {"undone": 0})
    left = [item for item in reversible if item.undone_by in {None, run.key}]
    if not left:
        return Done("nothing to undo: it has been undone already", {"undone": 0, "already": True})
    for item in left:
        await _take_back(run, item, force=parameters.force)
    verb = "would be undone" if run.dry_run else "undone"
    return Done(f"{target.type} {verb}", {"undone": len(left), "type": target.type})


async def _applied(run: Run, target: ActionRow) -> list[Intent]:
    if target.dry_run:
        return []
    found = await run.world.ledger.intents(target.key)
    return [item for item in found if item.state is IntentState.APPLIED and _counts(item.write)]


def _counts(write: Write) -> bool:
    """Whether a write has changed anything: a message has not, a call to a service may have."""
    return write.verb is not Verb.DELIVER or write.ref.kind == "Webhook"


def _refuse_irreversible(run: Run, target: ActionRow) -> None:
    reason = run.world.irreversible.get(target.type)
    if reason is not None:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{target.type} cannot be undone: {reason}", refused=True)
    until = (target.finished_at or target.created_at) + run.world.undo_seconds
    if time.time() > until:
        raise ActionFailedError(ErrorClass.PERMANENT, f"the time to undo {target.key!r} is over", refused=True)


async def _wait(run: Run, not_before: float | None) -> None:
    while not_before is not None and (left := not_before - time.time()) > 0:
        run.check()
        await run.progress("waiting until it is time to take it back")
        await run.pause(left)


async def _take_back(run: Run, item: Intent, *, force: bool) -> None:
    done = item.write
    if done.verb is Verb.SILENCE:
        await _expire(run, item)
        return

    async def plan() -> Planned:
        if done.verb is Verb.CREATE:
            return await _removal(run, item, force=force)
        current = await run.read(done.ref)
        _refuse_drift(done, current, force=force)
        values = {change.pointer: change.before for change in done.fields}
        write = plan_patch(done.ref, current, values, guards={} if force else done.guards)
        return (_resealed(done, write).taking_back(item.key, item.slot), current) if write else None

    await run.change(f"undo:{item.slot}"[:256], done.ref, plan)


def _resealed(done: Write, write: Write) -> Write:
    """Secret values come back from the copy that was made of them, inside the cluster."""
    copy = done.notes.get("copy")
    if not done.sealed:
        return write
    if copy is None:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{done.ref}: no copy of the old values was kept")
    return replace(write, sealed={pointer: {"from": "copy", "pointer": pointer} | copy for pointer in done.sealed})


async def _removal(run: Run, item: Intent, *, force: bool) -> Planned:
    """Delete what was created, unless it is gone or somebody changed it."""
    done = item.write
    current = await run.find(done.ref)
    if current is None or current["metadata"]["uid"] != done.uid:
        return None
    if not (force or contains(current, done.fields[0].after)):
        raise ActionFailedError(ErrorClass.CONFLICT, f"{done.ref} was changed since by somebody else; nothing undone")
    removal = plan_removal(Verb.DELETE, done.ref, current, grace_period_seconds=None)
    return removal.taking_back(item.key, item.slot), current


async def _expire(run: Run, item: Intent) -> None:
    async def send(write: Write) -> Write:
        await run.world.alertmanager.expire(write.ref.name)
        return write

    ended = Write(Verb.DELIVER, item.write.ref, undoes=(item.key, item.slot))
    if not run.dry_run:
        await run.outside(f"undo:{item.slot}"[:256], ended, send)


def _refuse_drift(done: Write, current: dict[str, Json], *, force: bool) -> None:
    if current["metadata"]["uid"] != done.uid:
        raise ActionFailedError(ErrorClass.CONFLICT, f"{done.ref} is another object now (its uid changed)")
    expected = {change.pointer: change.after for change in done.fields} | done.guards
    drifted = [path for path, value in expected.items() if not same(path, resolve(current, path), value)]
    known = {path: source["sha256"] for path, source in done.sealed.items() if "sha256" in source}
    drifted += [path for path, stored in known.items() if fingerprint_of(resolve(current, path)) != stored]
    if drifted and not force:
        raise ActionFailedError(
            ErrorClass.CONFLICT, f"{done.ref} was changed since by somebody else: {', '.join(drifted)}; nothing undone"
        )


SPEC = ActionSpec(
    name="undo",
    family="undoing",
    description="Take back the changes of an earlier action.",
    parameters=Undo,
    target_kinds=(),
    risk="medium",
    timeout_seconds=120,
    perform=undo,
    irreversible_reason="an undo is taken back by ordering the action again",
)
