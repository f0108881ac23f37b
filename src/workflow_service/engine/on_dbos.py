"""The durable queue: drives on DBOS Transact. The only module that knows DBOS, through its public API.

What DBOS is trusted with: that a drive which was enqueued in a committed transaction is given to some replica that has
a free slot, by priority. What it is not: steps, retries, timeouts and recovery, which are the journal's and the
reconciler's. Facts of DBOS 3.4 that this binding rests on: the body of an async workflow runs on the event loop that
called `DBOS.launch`; a unique executor id makes DBOS itself recover nothing; an unset priority would beat all others;
the default serializer is pickle, so JSON is set; `enqueue_in_transaction` with a known id leaves the known row alone;
a queue is a row: every replica serves every queue that any of them registered, with the slots that the last one set.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, Serializer
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.engine.connecting import Connecting
from workflow_service.ports import Drive
from workflow_service.store.database import POSTGRESQL_SESSION, SQLITE_BUSY, translated

ABANDONED = timedelta(days=1)  # longer than any drive lasts
APPLICATION = "workflow-service"
VERSION = "1"  # constant: bodies are not replayed, so no code version ever has to match
WORKFLOW = "drive"
BATCH = 500  # finished drives deleted at once

log = structlog.get_logger(__name__)


class _Json(Serializer):
    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=str)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "json"


@dataclass(frozen=True, slots=True)
class Polled:
    """How one queue is served: bodies at once on this replica, and seconds between looks (DBOS knows no wake-ups)."""

    slots: int
    every: float


class DbosEngine:
    """Implements `ports.Engine`. One per process: DBOS is a process-wide object."""

    def __init__(self, url: sa.URL, *, replica: str, queues: Mapping[str, Polled]) -> None:
        """`queues`: the queues that this replica takes drives from."""
        self._replica, self._queues = replica, queues
        self._engine = _engine(url)
        self._connecting = Connecting(self._engine)
        self._client: DBOSClient | None = None

    async def start(self, body: Callable[[Drive, str], Awaitable[None]]) -> None:
        """Begin to take drives and run `body` for each, with its queue's name, on this event loop.

        Raises:
            StoreUnavailable: the database is away.
        """
        try:
            with translated():
                await self._start(body)
        except BaseException:
            await self.stop()
            raise
        self._connecting.be_patient()

    async def _start(self, body: Callable[[Drive, str], Awaitable[None]]) -> None:
        DBOS(config=_config(self._engine, self._replica))
        _log_as_we_do()

        @DBOS.workflow(name=WORKFLOW)
        async def drive(execution_id: str, generation: int, queue: str) -> None:
            await body(Drive(execution_id, generation), queue)

        del drive  # the registry keeps it
        DBOS.launch()
        for queue, polled in self._queues.items():
            await DBOS.register_queue_async(
                queue,
                worker_concurrency=polled.slots,
                polling_interval_sec=polled.every,
                on_conflict="always_update",
            )
        self._client = await asyncio.to_thread(
            lambda: DBOSClient(
                system_database_engine=self._engine,
                serializer=_Json(),
                application_name=APPLICATION,
                lazy=True,
                retry_connection_errors=False,
            )
        )

    async def stop(self) -> None:
        """Take no more drives and let go of every thread and connection."""
        self._connecting.be_impatient()
        # DBOS made its pool the loop's default one and is about to shut it down; the loop goes on with one of its own.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
        await asyncio.to_thread(lambda: DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0))
        self._connecting.be_over()
        if self._client is not None:
            await asyncio.to_thread(self._client.destroy)
        await asyncio.to_thread(self._engine.dispose)

    async def enqueue(self, connection: AsyncConnection, drive: Drive, *, queue: str, priority: int) -> None:
        """Put the drive into `queue` within `connection`'s transaction; the lowest `priority` goes first."""
        client = self._started()
        await connection.run_sync(
            lambda sync: client.enqueue_in_transaction(
                sync,
                {
                    "workflow_name": WORKFLOW,
                    "queue_name": queue,
                    "workflow_id": drive.id,
                    "priority": priority,
                    "app_version": VERSION,
                },
                drive.execution_id,
                drive.generation,
                queue,
            )
        )

    async def fate(self, drive: Drive) -> str:
        """How far the queue says this ride got: waiting | claimed | ended | unknown.

        Raises:
            StoreUnavailable: the database is away.
        """
        with translated():
            found = await self._started().list_workflows_async(
                workflow_ids=[drive.id], load_input=False, load_output=False
            )
        if not found:
            return "unknown"
        return {"ENQUEUED": "waiting", "DELAYED": "waiting", "PENDING": "claimed"}.get(found[0].status, "ended")

    async def forget(self, *, older_than: timedelta) -> int:
        """Delete rides that ended before, and those that a dead replica left claimed; returns how many.

        DBOS itself keeps both for ever.

        Raises:
            StoreUnavailable: the database is away.
        """
        now = datetime.now(UTC)
        left = (now - max(older_than, ABANDONED)).isoformat()
        with translated():
            ended = await self._forget(completed_before=(now - older_than).isoformat())
            return ended + await self._forget(status="PENDING", dequeued_before=left)

    async def _forget(self, **chosen: Any) -> int:
        client, count = self._started(), 0
        while True:
            found = await client.list_workflows_async(
                name=WORKFLOW, limit=BATCH, load_input=False, load_output=False, **chosen
            )
            if found:
                await client.delete_workflows_async([workflow.workflow_id for workflow in found])
            count += len(found)
            if len(found) < BATCH:
                return count

    def _started(self) -> DBOSClient:
        if self._client is None:
            raise RuntimeError("the engine is not started")
        return self._client


def _log_as_we_do() -> None:
    """DBOS gives itself a handler of its own when it is made; its records belong into our log."""
    logger = logging.getLogger("dbos")
    logger.handlers.clear()
    logger.propagate = True


def _config(engine: sa.Engine, replica: str) -> DBOSConfig:
    return {
        "name": APPLICATION,
        "system_database_engine": engine,
        "application_version": VERSION,
        "executor_id": replica,
        "serializer": _Json(),
        "log_level": "WARNING",
        "max_executor_threads": 24,  # at least the pool's size: fewer starve it
        "use_listen_notify": False,
        "notification_listener_polling_interval_sec": 0.2,  # nobody is notified; a stop waits for one such pause
        "run_migrations": True,
        "scheduler_polling_interval_sec": 3600.0,  # no schedules here
    }


def _engine(url: sa.URL) -> sa.Engine:
    """DBOS's own pool. SQLite needs WAL and writers that wait; PostgreSQL, sessions that never hang."""
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=8,
            max_overflow=4,
            connect_args=dict(POSTGRESQL_SESSION),
        )
    engine = sa.create_engine(url.set(drivername="sqlite"), pool_size=4, max_overflow=4)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={SQLITE_BUSY}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
