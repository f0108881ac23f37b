"""A new execution of a workflow whose last one is over: a retry from what failed, or a rollback of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain import controls, revision, rollback
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.controls import Command
from workflow_service.domain.events import Inherited
from workflow_service.domain.graph import validate
from workflow_service.domain.inheritance import for_retry, for_rollback, recoveries_tried
from workflow_service.domain.plan import Plan, plan_to_json
from workflow_service.domain.queueing import QUEUE_BOUND, turn
from workflow_service.domain.run_state import Recovery, RunState, StepState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus, Verb
from workflow_service.domain.stored_events import event_to_json
from workflow_service.engine.handover import MANUAL
from workflow_service.ports import Drive, Engine
from workflow_service.store.executions import Record, plan_row
from workflow_service.store.tables import active_identities, executions, identities, journal, plans, workflows


@dataclass(frozen=True, slots=True)
class Heir:
    """What a new execution begins with, whose it is, and who wants it."""

    record: Record  # of the execution that is over
    command: Command
    plan: Plan
    steps: Mapping[str, StepState]
    items: Mapping[str, tuple[Any, ...]]
    recoveries: tuple[Recovery, ...] = ()


def heir(record: Record, state: RunState, command: Command, catalogue: Catalogue | None) -> Heir | str:
    """What the execution that `command` asks for would begin with; or why there can be none.

    `state` is that of the execution that is over. `catalogue` is what new parameters are checked against.

    Raises:
        InvalidPlan: new parameters break a rule.
    """
    if not record.events:
        return f"{command.verb} is not possible any more: what was done has been forgotten (STATE_RETENTION_PERIOD)"
    why = controls.refusal(state, command)
    if why is not None:
        return why
    plan = record.plan
    if plan is None:
        return f"{command.verb} is not possible: no plan was ever made"
    graph = validate(plan).grown(state.items)
    if command.verb is Verb.ROLLBACK:
        steps, back_to = for_rollback(state), command.arguments.get("step")
        if back_to is not None and not rollback.needed(graph, replace(state, steps=steps, back_to=back_to)):
            return f"rollback is not possible: nothing was changed after {back_to} that can be undone"
    else:
        steps = _started(state, for_retry(graph, state))
        if patch := command.arguments.get("parameters"):
            if (why := revision.hindrance(plan, steps, patch)) is not None:
                return f"retry is not possible: {why}"
            plan = revision.revised(plan, command, catalogue)
    return Heir(record, command, plan, steps, state.items, recoveries=recoveries_tried(state))


def _started(state: RunState, again: Mapping[str, StepState]) -> Mapping[str, StepState]:
    """A retry is a word to start: what somebody has started once does not wait for that again."""
    start = state.steps.get(controls.START_STEP)
    return (
        {**again, controls.START_STEP: start} if start is not None and start.status is StepStatus.SUCCEEDED else again
    )


async def admit_successor(
    connection: AsyncConnection, engine: Engine, heir: Heir, *, execution_id: str, now: datetime
) -> str | None:
    """Start the new execution; or why it cannot be, when something else holds its target."""
    record, command = heir.record, heir.command
    taken = await _take_identities(connection, record)
    if taken is not None:
        return taken
    moved = await connection.execute(
        sa.update(workflows)
        .where(workflows.c.id == record.workflow_id, workflows.c.execution_id == record.execution_id)
        .values(execution_id=execution_id)
    )
    if moved.rowcount != 1:
        return f"{command.verb} comes too late: the workflow has a newer execution"
    plan_hash = heir.plan.hash
    if heir.plan is not record.plan:
        await connection.execute(
            sa.insert(plans).values(plan_row(record.workflow_id, plan_to_json(heir.plan), plan_hash, now))
        )
    await connection.execute(
        sa.insert(executions).values(
            id=execution_id,
            workflow_id=record.workflow_id,
            kind="rollback" if command.verb is Verb.ROLLBACK else "run",
            status=ExecutionStatus.QUEUED,
            queue=MANUAL,
            priority=record.priority,
            generation=0,
            enqueued=1,
            enqueued_at=now,
            seq=1,
            plan_hash=plan_hash,
            actions_total=len(heir.steps),
            actions_ended=sum(step.final for step in heir.steps.values()),
            reason="",
            cause="",
            rollback=RollbackStatus.NONE,
            created_at=now,
            updated_at=now,
            must_end_by=now + QUEUE_BOUND,
        )
    )
    row = {"execution_id": execution_id, "seq": 1, "generation": 0, "at": now, "kind": "Inherited"}
    await connection.execute(sa.insert(journal).values(**row, data=event_to_json(_inherited(heir, now))))
    await engine.enqueue(connection, Drive(execution_id, 1), queue=MANUAL, priority=turn(record.priority, now))
    return None


def _inherited(heir: Heir, now: datetime) -> Inherited:
    command = heir.command
    return Inherited(
        at=now,
        source=heir.record.execution_id,
        verb=command.verb,
        actor=command.actor,
        reason=command.reason,
        plan_hash=heir.plan.hash,
        inherited=heir.steps,
        items=heir.items,
        back_to=command.arguments.get("step") if command.verb is Verb.ROLLBACK else None,
        recoveries=heir.recoveries,
    )


async def _take_identities(connection: AsyncConnection, record: Record) -> str | None:
    """Hold what the workflow is about again, unless another one does; then say which."""
    query = sa.select(identities.c.identity).where(identities.c.workflow_id == record.workflow_id)
    names = sorted((await connection.execute(query)).scalars())
    held = sa.select(active_identities).where(active_identities.c.identity.in_(names))
    other = (await connection.execute(held)).first()
    if other is not None:
        return f"workflow {other.workflow_id} is at work on {other.identity} right now"
    rows = [{"identity": name, "workflow_id": record.workflow_id} for name in names]
    await connection.execute(sa.insert(active_identities), rows)
    return None
