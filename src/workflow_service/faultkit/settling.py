"""After the faults: waiting, with a bound, until everything is over, and then reading what became of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from workflow_service.faultkit.fleet import RUN
from workflow_service.faultkit.load import Load
from workflow_service.faultkit.stories import Story, read
from workflow_service.faultkit.verdict import GRACE

QUEUED = timedelta(seconds=2 * RUN)  # after the last fault: what has not begun by then, and so has no bound, is stuck
LOOK = 1.0  # seconds between looks at all workflows
AT_ONCE = 8  # stories that are asked for together


async def settled(load: Load) -> None:
    """Return once every workflow is over, or is past its bound and therefore stuck. Whatever is paused is resumed."""
    calm = datetime.now(UTC)
    while True:
        open_ = [one for one in await load.pages() if one["ended_at"] is None]
        for one in open_:
            if one["status"] == "paused":
                await load.command(one["workflow_id"], "resume")
        now = datetime.now(UTC)
        if all(now > _bound(one["must_end_by"], calm) for one in open_):
            return
        await asyncio.sleep(LOOK)


async def stories(load: Load) -> list[Story]:
    """Every workflow there is, whole."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(workflow_id: str) -> Story:
        async with gate:
            return read((await load.get(f"/api/v1/workflows/{workflow_id}")).document)

    return await asyncio.gather(*(one(found["workflow_id"]) for found in await load.pages()))


def _bound(must_end_by: str | None, calm: datetime) -> datetime:
    return datetime.fromisoformat(must_end_by) + GRACE if must_end_by else calm + QUEUED
