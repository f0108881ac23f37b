"""One measurement of our engine without what is before it: the counterpart of starting a plain DBOS workflow.

The alerts are stored, decided and known before the clock starts. Within it each execution gets its durable start (its
row; those that come at the same time share a transaction, as behind intake), is planned from a given plan, run, and
waited for. Everything else is as in `ours`.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
import uvloop
from bench.measuring import Reading, Task, measure, print_reading, task_from_arguments
from bench.ours import LIMIT, House
from bench.stored import store_workflows

from workflow_service.garbage import search_seldom
from workflow_service.intake.gathering import Gathering
from workflow_service.store.executions import Record
from workflow_service.store.tables import executions
from workflow_service.telemetry.log import configure

ALERT = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production"}
_START = sa.insert(executions)


class Engine(House):
    """A replica whose lanes begin behind intake."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._ids: Iterator[str] = iter(())
        self._starting = Gathering(self._store, most=task.concurrency)

    async def prepare(self) -> None:
        """Store what is there before an execution starts."""
        ids = [str(uuid.uuid4()) for _ in range(self.task.workflows + self.task.warm_up)]
        await store_workflows(self.database, ids, ALERT)
        self._ids = iter(ids)

    async def _store(self, rows: Sequence[dict[str, object]]) -> Sequence[None]:
        """Durable starts."""
        async with self.database.write() as connection:
            await connection.execute(_START, rows)
        return [None] * len(rows)

    async def run_one(self) -> None:
        """One execution from its durable start to its end.

        Raises:
            RuntimeError: there was no slot.
            TimeoutError: it did not end in time.
        """
        execution_id, now = next(self._ids), datetime.now(UTC)
        owner = self.driver.reserve(execution_id)
        if owner is None:
            raise RuntimeError("no slot for an execution that needs none other's")
        await self._starting.ask(_row(execution_id, owner, now))
        started = time.perf_counter()
        self.driver.begin(_record(execution_id, now))
        async with asyncio.timeout(LIMIT):
            await self.ended(execution_id)
        self.starts.append(max(0.0, self.hand.first_call[execution_id] - started))


def _row(execution_id: str, owner: str, now: datetime) -> dict[str, object]:
    return {
        "id": execution_id,
        "workflow_id": execution_id,
        "kind": "run",
        "status": "created",
        "queue": "planning",
        "priority": 1,
        "generation": 1,
        "enqueued": 1,
        "enqueued_at": now,
        "owner": owner,
        "seq": 0,
        "actions_total": 0,
        "actions_ended": 0,
        "reason": "",
        "cause": "",
        "rollback": "none",
        "created_at": now,
        "updated_at": now,
    }


def _record(execution_id: str, now: datetime) -> Record:
    return Record(
        execution_id=execution_id,
        workflow_id=execution_id,
        alert={**ALERT, "resource": execution_id},
        severity="critical",
        queue="planning",
        priority=1,
        created_at=now,
        seq=0,
        plan=None,
        events=(),
    )


def main() -> None:
    """Measure and print."""
    with Path(os.devnull).open("wb", buffering=0) as nowhere:
        configure("info", file=nowhere)
        print_reading(uvloop.run(_measure(task_from_arguments())))


async def _measure(task: Task) -> Reading:
    engine = Engine(task)
    async with engine.lifespan(engine.app):
        await engine.prepare()
        search_seldom()
        reading = await measure(task, engine.run_one, engine.starts)
        await engine.check()
    return reading


if __name__ == "__main__":
    main()
