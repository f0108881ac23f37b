"""Where workflows stand: what lies ahead of them, and the tag of all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from workflow_service.api import conditional
from workflow_service.api.results import Outlook
from workflow_service.store import estimates, queries, waiting
from workflow_service.store.database import Database
from workflow_service.store.executions import version


async def outlooks(database: Database, found: Sequence[queries.Summary]) -> Mapping[str, Outlook]:
    """What lies ahead of each, by workflow id.

    Raises:
        StoreUnavailable: the database is away.
    """
    active = {one["execution_id"] for one in found if one["ended_at"] is None}
    places = await waiting.positions(database, active) if active else {}
    ends = await estimates.estimated_ends(database, found, datetime.now(UTC))
    return {one["workflow_id"]: Outlook(places.get(one["execution_id"]), ends.get(one["workflow_id"])) for one in found}


async def tag_of(database: Database, found: queries.Summary, ahead: Outlook) -> str:
    """The tag of a workflow's detail that shows `found` and `ahead`.

    Raises:
        StoreUnavailable: the database is away.
    """
    around = await queries.surroundings(database, found["execution_id"])
    row = {name: value for name, value in found.items() if name != "evidence"}  # which a summary does not have
    said = (row, ahead, around.remembered, around.evidence, around.evidence_at)
    return conditional.tag(version(found["execution_id"], found["seq"], around.unanswered), said)


async def tag_now(database: Database, workflow_id: str) -> str:
    """The tag that the workflow's detail has now, without reading its journal.

    Raises:
        NotFound: there is none.
        StoreUnavailable: the database is away.
    """
    found = await queries.summary(database, workflow_id)
    return await tag_of(database, found, (await outlooks(database, [found]))[workflow_id])
