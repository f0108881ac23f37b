"""A new execution of a workflow whose last one is over: a retry from what failed, or a rollback of what was done."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.controls import Command
from workflow_service.domain.events import Inherited, event_to_json
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import validate
from workflow_service.domain.inheritance import for_retry, for_rollback
from workflow_service.domain.queueing import QUEUE_BOUND, turn
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, Verb
from workflow_service.engine.handover import MANUAL
from workflow_service.ports import Drive, Engine
from workflow_service.store.executions import Record
from workflow_service.store.tables import active_identities, executions, identities, journal, workflows


async def admit_successor(
    connection: AsyncConnection,
    engine: Engine,
    record: Record,
    command: Command,
    *,
    execution_id: str,
    now: datetime,
) -> str | None:
    """Start the execution that `command` asks for; or why it cannot be, when something else holds its target.

    The caller has asked `controls.refusal` and knows that there is a plan.
    """
    plan = record.plan
    if plan is None:
        raise AssertionError("a successor needs a plan")
    taken = await _take_identities(connection, record)
    if taken is not None:
        return taken
    state = fold_all(record.events)
    graph = validate(plan).grown(state.items)
    steps = for_rollback(state) if command.verb is Verb.ROLLBACK else for_retry(graph, state)
    event = Inherited(
        at=now,
        source=record.execution_id,
        verb=command.verb,
        actor=command.actor,
        reason=command.reason,
        plan_hash=plan.hash,
        inherited=steps,
        items=state.items,
        back_to=command.arguments.get("step") if command.verb is Verb.ROLLBACK else None,
    )
    moved = await connection.execute(
        sa.update(workflows)
        .where(workflows.c.id == record.workflow_id, workflows.c.execution_id == record.execution_id)
        .values(execution_id=execution_id)
    )
    if moved.rowcount != 1:
        return f"{command.verb} comes too late: the workflow has a newer execution"
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
            plan_hash=plan.hash,
            actions_total=len(plan.steps),
            actions_ended=sum(step.final for step in steps.values()),
            reason="",
            cause="",
            rollback=RollbackStatus.NONE,
            created_at=now,
            updated_at=now,
            must_end_by=now + QUEUE_BOUND,
        )
    )
    row = {"execution_id": execution_id, "seq": 1, "generation": 0, "at": now, "kind": "Inherited"}
    await connection.execute(sa.insert(journal).values(**row, data=event_to_json(event)))
    await engine.enqueue(connection, Drive(execution_id, 1), queue=MANUAL, priority=turn(record.priority, now))
    return None


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
