"""One measurement of the journal alone: group-committed, fenced appends, as many as a run of N steps writes.

No planning, no deciding, no calls: what remains of the engine's cost when only its writing is left. Executions are
stored before the clock starts; each is claimed, and appends N times the end of one step with the start of the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import sqlalchemy as sa
import uvloop
from bench.measuring import Reading, Task, measure, print_reading, task_from_arguments
from bench.stored import BATCH, NOW, store_workflows

from workflow_service.domain import events as ev
from workflow_service.store import migrations
from workflow_service.store.database import Database
from workflow_service.store.entry import Entry, Row
from workflow_service.store.journal import Journal
from workflow_service.store.tables import executions

ROW = Row(
    status="running",
    actions_total=1,
    actions_ended=0,
    current_action="step",
    reason="",
    cause="",
    rollback="none",
    plan_hash=None,
    updated_at=NOW,
    started_at=NOW,
    must_end_by=NOW,
    wake_at=None,
    ended_at=None,
)


def main() -> None:
    """Measure and print."""
    print_reading(uvloop.run(_measure(task_from_arguments())))


async def _measure(task: Task) -> Reading:
    database = Database(task.url)
    await migrations.upgrade(database)
    journal = Journal(database)
    await journal.start()
    ids = iter(await _stored(database, task.workflows + task.warm_up))

    async def run_one() -> None:
        execution_id = next(ids)
        await journal.claim(execution_id, 1, "bench")
        seq = 0
        for events in _run(execution_id, task.steps):
            await journal.append(Entry(execution_id, 1, seq, events, ROW))
            seq += len(events)

    try:
        return await measure(task, run_one, [])
    finally:
        await journal.stop()
        await database.close()


def _run(execution_id: str, steps: int) -> Iterator[list[ev.Event]]:
    for number in range(steps):
        key, after = f"{execution_id}:step-{number}", f"{execution_id}:step-{number + 1}"
        yield [
            ev.StepSucceeded(NOW, f"step-{number}", key, key, "done", {"ok": True}),
            ev.StepStarted(NOW, f"step-{number + 1}", 0, after, "bench-ledger"),
        ]


async def _stored(database: Database, number: int) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in range(number)]
    await store_workflows(database, ids, {})
    fresh = {
        **ROW._asdict(),
        "kind": "run",
        "queue": "executions",
        "priority": 1,
        "generation": 0,
        "enqueued": 1,
        "enqueued_at": NOW,
        "seq": 0,
        "created_at": NOW,
    }
    for start in range(0, number, BATCH):
        async with database.write() as connection:
            rows = [{**fresh, "id": one, "workflow_id": one} for one in ids[start : start + BATCH]]
            await connection.execute(sa.insert(executions), rows)
    return ids


if __name__ == "__main__":
    main()
