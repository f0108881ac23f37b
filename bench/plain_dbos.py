"""One measurement of plain DBOS: a workflow of N async no-op steps, started directly (its fastest way to start one).

Configured as well as we know how: JSON instead of pickle, no ping per checkout, as many threads as connections, no
logging below warning; on SQLite WAL and writers that wait, with the durability that ours has (`synchronous=FULL`).
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import sqlalchemy as sa
import uvloop
from bench.measuring import Reading, Task, measure, print_reading, task_from_arguments
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

POOL = {"postgresql": 20, "sqlite": 4}  # connections; more made either slower
THREADS = {"postgresql": 24, "sqlite": 8}


class _Json(Serializer):
    def serialize(self, data: Any) -> str:
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "json"


def main() -> None:
    """Measure and print."""
    task = task_from_arguments()
    url = sa.make_url(task.url)
    backend = url.get_backend_name()
    config: DBOSConfig = {
        "name": "plain-dbos",
        "system_database_engine": _engine(url, POOL[backend]),
        "executor_id": uuid.uuid4().hex,
        "application_version": "1",
        "serializer": _Json(),
        "max_executor_threads": THREADS[backend],
        "use_listen_notify": False,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    print_reading(uvloop.run(_measure(task)))


async def _measure(task: Task) -> Reading:
    starts: list[float] = []

    @DBOS.step()
    async def step(number: int) -> dict[str, Any]:
        return {"ok": True, "number": number}

    @DBOS.workflow()
    async def workflow(born: float, steps: int) -> int:
        starts.append(time.perf_counter() - born)
        for number in range(steps):
            await step(number)
        return steps

    async def run_one() -> None:
        with SetWorkflowID(str(uuid.uuid4())):
            handle = await DBOS.start_workflow_async(workflow, time.perf_counter(), task.steps)
        if await handle.get_result(polling_interval_sec=0.05) != task.steps:
            raise RuntimeError("a workflow did not run all its steps")

    DBOS.launch()
    try:
        return await measure(task, run_one, starts)
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)


def _engine(url: sa.URL, pool: int) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_size=pool, max_overflow=0)
    engine = sa.create_engine(url, pool_size=pool, max_overflow=0)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


if __name__ == "__main__":
    main()
