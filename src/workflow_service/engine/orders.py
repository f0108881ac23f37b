"""Giving a command to a workflow: the only way in from outside, whatever state it is in.

Who owns an execution alone may change it, so a command is a row and a wake-up in one transaction. An execution that
waits for a slot has no owner; it gets a drive on the control queue, which has slots of its own. An execution that is
over has none either and never changes: here a retry or a rollback makes its successor.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain import controls
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import InvalidPlan, NotFound, Stale, Violation
from workflow_service.domain.fold import fold_all
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, Verb
from workflow_service.engine.handover import CONTROL, enqueue_next
from workflow_service.engine.successor import Heir, admit_successor, heir
from workflow_service.ports import Engine, EventBus
from workflow_service.store import commands
from workflow_service.store.database import Database
from workflow_service.store.executions import Record, load, version
from workflow_service.store.tables import executions, workflows

WAIT = 2.0  # seconds for which the caller waits for the owner's answer
LOOK = 0.2  # seconds between looks of its own, since wake-ups may be lost
TOPIC = "commands"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command: applied | refused | waiting."""

    outcome: str
    why: str
    execution_id: str
    state: RunState
    broken: tuple[Violation, ...] = ()  # what is wrong with the command itself, whatever the state
    forgotten: bool = False  # what was done is not known any more

    @property
    def allowed(self) -> tuple[Verb, ...]:
        """What could be commanded now instead."""
        return () if self.forgotten else controls.allowed(self.state)


class Orders:
    """Takes commands for one replica's API."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        bus: EventBus,
        *,
        catalogue: Callable[[Mapping[str, Any]], Awaitable[Catalogue | None]],
        clock: Callable[[], datetime],
    ) -> None:
        """`catalogue`: what new parameters are checked against, by the workflow's alert, as far as it is known."""
        self._database, self._engine, self._bus = database, engine, bus
        self._catalogue, self._clock = catalogue, clock

    async def give(self, workflow_id: str, command: Command, *, expected: frozenset[str] | None = None) -> Answer:
        """Write the command down and wait a little for its answer.

        `expected`: versions of its newest execution, one of which must be the present one as the command is committed.

        Raises:
            NotFound: there is no such workflow.
            Stale: it is none of the expected versions any more; nothing was commanded.
            StoreUnavailable: the database is away; nothing was commanded.
        """
        async with self._database.write() as connection:
            row = await self._newest(connection, workflow_id)
            if expected is not None:
                await self._expect(connection, row, expected)
            if row.ended_at is None:
                await self._to_owner(connection, row, command)
        if row.ended_at is not None:
            return await self._succeed(row, command)
        await self._bus.publish(TOPIC)
        return await self._answered(row.id, command)

    async def _newest(self, connection: AsyncConnection, workflow_id: str) -> Any:
        query = (
            sa.select(executions)
            .join(workflows, workflows.c.execution_id == executions.c.id)
            .where(workflows.c.id == workflow_id)
            .with_for_update(of=executions)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound(f"no workflow {workflow_id}")
        return row

    async def _expect(self, connection: AsyncConnection, row: Any, expected: frozenset[str]) -> None:
        """Under the row's lock; a command that waits for its answer is a change that is about to come."""
        unanswered = await connection.scalar(sa.select(commands.count_of(row.id))) or 0
        if version(row.id, row.seq, unanswered) not in expected:
            raise Stale(f"workflow {row.workflow_id} has changed")

    async def _to_owner(self, connection: AsyncConnection, row: Any, command: Command) -> None:
        now = self._clock()
        await commands.keep(connection, command, workflow_id=row.workflow_id, execution_id=row.id, now=now)
        if row.owner is None:
            await enqueue_next(
                connection, self._engine, execution_id=row.id, after=row.enqueued, queue=CONTROL, now=now
            )

    async def _answered(self, execution_id: str, command: Command) -> Answer:
        until = asyncio.get_running_loop().time() + WAIT
        while True:
            found = await commands.outcome(self._database, command.id)
            late = asyncio.get_running_loop().time() >= until
            if found is not None or late:
                outcome, why = found or ("waiting", "its owner has not answered yet")
                return Answer(outcome, why or "", execution_id, await self._state(execution_id))
            await self._bus.wait(f"command:{command.id}", timeout=LOOK)

    async def _succeed(self, row: Any, command: Command) -> Answer:
        """A command to an execution that is over: refused, or the start of a new one."""
        record = await load(self._database, row.id)
        state = fold_all(record.events) if record.events else RunState(status=ExecutionStatus(row.status))
        catalogue = await self._catalogue(record.alert) if command.arguments.get("parameters") else None
        broken: tuple[Violation, ...] = ()
        try:
            found = heir(record, state, command, catalogue)
        except InvalidPlan as error:
            found, broken = str(error), error.violations
        execution_id = str(uuid.uuid4())
        try:
            why = await self._admit(record, command, found, execution_id)
        except IntegrityError:
            why = await self._admit(record, command, "another workflow took its target just now", execution_id)
        if why is not None:
            return Answer(commands.REFUSED, why, row.id, state, broken, forgotten=not record.events)
        return Answer(commands.APPLIED, "", execution_id, await self._state(execution_id))

    async def _admit(self, record: Record, command: Command, found: Heir | str, execution_id: str) -> str | None:
        """Note the command, and start the execution that it asks for; or why there is none."""
        async with self._database.write() as connection:
            now = self._clock()
            why = (
                found
                if isinstance(found, str)
                else await admit_successor(connection, self._engine, found, execution_id=execution_id, now=now)
            )
            source = {"workflow_id": record.workflow_id, "execution_id": record.execution_id}
            await commands.keep(connection, command, **source, now=now)
            await commands.answer(connection, command.id, refused_because=why, now=now)
        return why

    async def _state(self, execution_id: str) -> RunState:
        return fold_all((await load(self._database, execution_id)).events)
