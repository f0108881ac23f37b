"""Taking back what an earlier action changed: field by field, only where nobody else has been since."""

import time
from typing import Annotated

from pydantic import Field

from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Parameters
from executor_service.contract import ActionFailedError, ErrorClass, Json, Verb, Write
from executor_service.kubernetes.pointers import resolve, same
from executor_service.kubernetes.writing import plan_patch
from executor_service.ledger.rows import ActionRow, Intent, IntentState


class Undo(Parameters):
    """Parameters of undo."""

    key: Annotated[str, Field(min_length=1, max_length=256, description="Idempotency key of the action to take back")]
    force: bool = Field(default=False, description="Write the old values even over foreign changes")


async def undo(run: Run, parameters: Undo) -> Done:
    """Write the earlier values back. Raises conflict on drift (unless forced); no effect left is a success."""
    target = await run.world.ledger.get(parameters.key)
    if target is None:
        raise ActionFailedError(ErrorClass.NOT_FOUND, f"key {parameters.key!r} is not in this ledger", refused=True)
    if not target.final:
        raise ActionFailedError(ErrorClass.CONFLICT, f"the action of {parameters.key!r} is still running", refused=True)
    applied = await _applied(run, target)
    if not applied:
        return Done("nothing to undo: the action changed nothing", {"undone": 0})
    _refuse_irreversible(run, target)
    patches = [item for item in reversed(applied) if item.write.verb is Verb.PATCH]
    left = [item for item in patches if item.undone_by in {None, run.key}]
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
    return [item for item in found if item.state is IntentState.APPLIED and item.write.verb is not Verb.DELIVER]


def _refuse_irreversible(run: Run, target: ActionRow) -> None:
    reason = run.world.irreversible.get(target.type)
    if reason is not None:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{target.type} cannot be undone: {reason}", refused=True)
    until = (target.finished_at or target.created_at) + run.world.undo_seconds
    if time.time() > until:
        raise ActionFailedError(ErrorClass.PERMANENT, f"the time to undo {target.key!r} is over", refused=True)


async def _take_back(run: Run, item: Intent, *, force: bool) -> None:
    done = item.write

    async def plan() -> Planned:
        current = await run.read(done.ref)
        _refuse_drift(done, current, force=force)
        values = {change.pointer: change.before for change in done.fields}
        write = plan_patch(done.ref, current, values, guards={} if force else done.guards)
        return (write.taking_back(item.key, item.slot), current) if write else None

    await run.change(f"undo:{item.slot}"[:256], done.ref, plan)


def _refuse_drift(done: Write, current: dict[str, Json], *, force: bool) -> None:
    if current["metadata"]["uid"] != done.uid:
        raise ActionFailedError(ErrorClass.CONFLICT, f"{done.ref} is another object now (its uid changed)")
    expected = {change.pointer: change.after for change in done.fields} | done.guards
    drifted = [path for path, value in expected.items() if not same(path, resolve(current, path), value)]
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
