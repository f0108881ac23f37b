"""After the faults: waiting, with a bound, until everything is over, and then reading what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from workflow_service.faultkit.fleet import RUN
from workflow_service.faultkit.load import Load
from workflow_service.faultkit.stories import Story, read
from workflow_service.faultkit.verdict import GRACE, Offence

QUEUED = timedelta(seconds=2 * RUN)  # after the last fault: what has not begun by then, and so has no bound, is stuck
HEARD = timedelta(seconds=30)  # after the last fault: by then every command must have been answered
WAITS = "waits"
LOOK = 1.0  # seconds between looks at all workflows
AT_ONCE = 8  # stories that are asked for together


async def settled(load: Load, tell: Callable[[str], None]) -> list[Offence]:
    """Return once every workflow is over, or is past its bound and therefore stuck; who never heard a command.

    What is still paused is resumed, as a person would: but a command that was given before must have been answered.
    """
    calm = datetime.now(UTC)
    deaf: dict[str, Offence] = {}
    while True:
        open_ = [one for one in await load.pages() if one["ended_at"] is None]
        for workflow_id in [one["workflow_id"] for one in open_ if one["status"] == "paused"]:
            given = await _given(load, workflow_id)
            waiting = [one for one in given if one.endswith(WAITS)]
            if waiting and datetime.now(UTC) > calm + HEARD:
                deaf[workflow_id] = Offence(workflow_id, f"is paused and has never answered {'; '.join(waiting)}")
            if not waiting or workflow_id in deaf:
                tell(f"{workflow_id} is still paused and is resumed: {'; '.join(given)}")
                await load.command(workflow_id, "resume")
        now = datetime.now(UTC)
        if all(now > _bound(one["must_end_by"], calm) for one in open_):
            return [*deaf.values()]
        await asyncio.sleep(LOOK)


async def _given(load: Load, workflow_id: str) -> list[str]:
    """Every command of a workflow in words; one that waits for its answer says so at its end."""
    given = (await load.get(f"/api/v1/workflows/{workflow_id}/commands")).document["commands"]
    return [f"{one['verb']} of {one['created_at']} {one['outcome'] or WAITS}" for one in given]


async def stories(load: Load) -> list[Story]:
    """Every workflow there is, whole."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(workflow_id: str) -> Story:
        async with gate:
            return read((await load.get(f"/api/v1/workflows/{workflow_id}")).document)

    return await asyncio.gather(*(one(found["workflow_id"]) for found in await load.pages()))


def _bound(must_end_by: str | None, calm: datetime) -> datetime:
    return datetime.fromisoformat(must_end_by) + GRACE if must_end_by else calm + QUEUED
