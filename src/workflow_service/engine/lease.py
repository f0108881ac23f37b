"""The replica's lease: proof, by the database's clock, that the others still count this replica as alive."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

import sqlalchemy as sa
import structlog

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.store.database import Database
from workflow_service.store.tables import replicas

log = structlog.get_logger(__name__)


class Lease:
    """Heartbeats every fifth of `ttl` seconds.

    The local clock is read before the heartbeat is sent, so the lease ends here no later than others may call it stale.
    """

    def __init__(self, database: Database, *, replica: str, ttl: float) -> None:
        self._database, self.replica, self.ttl = database, replica, ttl
        self._renewed = float("-inf")  # monotonic
        self._unbroken_since = float("-inf")
        self._alive = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register and begin to heartbeat.

        Raises:
            StoreUnavailable: the database is away.
        """
        if self._database.sqlite:
            async with self._database.write() as connection:  # the data directory's lock says: nobody else lives
                await connection.execute(sa.delete(replicas))
        await self._beat()
        self._task = asyncio.create_task(self._beat_forever(), name="lease")

    async def stop(self) -> None:
        """Heartbeat no more and leave the list of the living."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        with suppress(StoreUnavailable):
            async with self._database.write() as connection:
                await connection.execute(sa.delete(replicas).where(replicas.c.id == self.replica))

    async def held(self) -> None:
        """Return once the lease is certainly ours. Awaited before every effect on the outside."""
        while not self.is_held:
            self._alive.clear()
            await self._alive.wait()

    @property
    def is_held(self) -> bool:
        """Whether the lease is certainly ours right now."""
        return time.monotonic() - self._renewed < self.ttl

    @property
    def may_judge(self) -> bool:
        """Whether this replica has heartbeated for a whole lease without a gap, so that its view of others is fair.

        After a database outage everybody's heartbeat looks old; nobody is declared dead then. Half a lease is a gap:
        others, who may have heartbeated a little earlier before the outage and heartbeat a little later after it, were
        silent for longer than this replica was, and must not look stale to it. SQLite has no others.
        """
        if self._database.sqlite:
            return True
        now = time.monotonic()
        return now - self._renewed < self.ttl / 2 and now - self._unbroken_since >= self.ttl

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(self.ttl / 5)
            try:
                async with asyncio.timeout(self.ttl):
                    await self._beat()
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("heartbeat failed", replica=self.replica, error=str(error))
            except Exception:
                # The boundary of a background task: whose heart stopped for a bug would wait for its lease for ever.
                log.exception("heartbeat failed", replica=self.replica)

    async def _beat(self) -> None:
        began = time.monotonic()
        clock = self._database.clock()
        async with self._database.write() as connection:
            beat = sa.update(replicas).where(replicas.c.id == self.replica).values(heartbeat=clock)
            if (await connection.execute(beat)).rowcount == 0:
                row = {"id": self.replica, "started_at": datetime.now(UTC), "heartbeat": clock}
                await connection.execute(sa.insert(replicas).values(row))
        ended = time.monotonic()
        if ended - self._renewed >= self.ttl / 2:
            self._unbroken_since = ended
        self._renewed = began
        self._alive.set()
