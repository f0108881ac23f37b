"""When what runs will probably be over, told from how long its like took before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import sqlalchemy as sa

from workflow_service.domain.queueing import PARKED
from workflow_service.domain.states import ExecutionStatus
from workflow_service.store.database import Database
from workflow_service.store.tables import executions, journal, plans, workflows

HISTORY = 1000  # successes that are looked at, all kinds together: an estimate must not read a month of rows
SAMPLES, LEAST_SAMPLES = 50, 3  # of one kind
RECENT = 100  # successes whose journals are read
_ITEM = re.compile(r"\[\d+\]")  # of a step's path: which item of a forEach step it is


async def estimated_ends(
    database: Database, found: Sequence[Mapping[str, Any]], now: datetime
) -> Mapping[str, datetime]:
    """By workflow id, when each of the running ones will be over; one that cannot be told is left out.

    Its like are the last successes for the same alert name. Only those that took longer than this one has taken count:
    what lies ahead is the median of what lay ahead of them. With fewer than three of them nothing is said, nor of
    what has not begun or is parked.

    Raises:
        StoreUnavailable: the database is away.
    """
    running = [one for one in found if one["started_at"] and not one["ended_at"] and one["status"] not in PARKED]
    lengths = await _lengths(database, {one["alert_name"] for one in running}) if running else {}
    ends = ((one["workflow_id"], _end(one["started_at"], lengths.get(one["alert_name"], []), now)) for one in running)
    return {workflow_id: end for workflow_id, end in ends if end is not None}


def _end(started_at: datetime, lengths: Sequence[timedelta], now: datetime) -> datetime | None:
    longer = [length.total_seconds() for length in lengths if length > now - started_at]
    return started_at + timedelta(seconds=median(longer)) if len(longer) >= LEAST_SAMPLES else None


async def usual_length(database: Database, alert_name: str) -> float | None:
    """How many seconds the last successes for alerts of that name took, as a median; None: there are too few.

    Raises:
        StoreUnavailable: the database is away.
    """
    lengths = (await _lengths(database, {alert_name})).get(alert_name, ())
    return median(one.total_seconds() for one in lengths) if len(lengths) >= LEAST_SAMPLES else None


async def action_times(database: Database) -> Mapping[str, float]:
    """By type, how many seconds an action took in the last successes, as a median; types with too few are left out.

    Raises:
        StoreUnavailable: the database is away.
    """
    last = (
        sa.select(executions.c.id, executions.c.workflow_id, executions.c.plan_hash)
        .where(executions.c.status == ExecutionStatus.COMPLETED, executions.c.ended_at.is_not(None))
        .order_by(executions.c.ended_at.desc())
        .limit(RECENT)
        .subquery()
    )
    of_plan = sa.and_(plans.c.workflow_id == last.c.workflow_id, plans.c.hash == last.c.plan_hash)
    kept = sa.select(last.c.id, plans.c.document).join(plans, of_plan)
    entries = sa.select(journal).where(
        journal.c.execution_id.in_(sa.select(last.c.id)), journal.c.kind.in_(("StepStarted", "StepSucceeded"))
    )
    async with database.read() as connection:
        types = {row.id: dict(_types(row.document["steps"])) for row in await connection.execute(kept)}
        found = _times(types, (await connection.execute(entries.order_by(journal.c.seq))).all())
    return {name: median(seconds) for name, seconds in found.items() if len(seconds) >= LEAST_SAMPLES}


def _types(steps: Sequence[Mapping[str, Any]], within: str = "") -> Iterator[tuple[str, str]]:
    for step in steps:
        if step.get("action"):
            yield f"{within}{step['id']}", step["action"]["type"]
        yield from _types(step.get("steps", ()), f"{within}{step['id']}/")


def _times(types: Mapping[str, Mapping[str, str]], entries: Sequence[Any]) -> Mapping[str, list[float]]:
    """From the start of an attempt to its success; of a forEach step, each item counts."""
    begun: dict[str, datetime] = {}
    found: dict[str, list[float]] = {}
    for entry in entries:
        key, step = entry.data["key"], _ITEM.sub("", entry.data["step"])
        if entry.kind == "StepStarted":
            begun[key] = entry.at
        elif key in begun and (kind := types.get(entry.execution_id, {}).get(step)) is not None:
            found.setdefault(kind, []).append((entry.at - begun[key]).total_seconds())
    return found


async def _lengths(database: Database, alert_names: set[str]) -> Mapping[str, Sequence[timedelta]]:
    """How long the last successes took, newest first, by alert name."""
    of = sa.select(workflows.c.alert_name).where(workflows.c.id == executions.c.workflow_id).scalar_subquery()
    last = (  # its workflow is looked up row by row: a join would tempt the planner to read all of that name
        sa.select(of.label("alert_name"), executions.c.started_at, executions.c.ended_at)
        .where(executions.c.status == ExecutionStatus.COMPLETED, executions.c.ended_at.is_not(None))
        .order_by(executions.c.ended_at.desc())
        .limit(HISTORY)
        .subquery()
    )
    query = sa.select(last).where(last.c.alert_name.in_(alert_names)).order_by(last.c.ended_at.desc())
    kept: dict[str, list[timedelta]] = {}
    async with database.read() as connection:
        for row in await connection.execute(query):
            of_its_kind = kept.setdefault(row.alert_name, [])
            if len(of_its_kind) < SAMPLES:
                of_its_kind.append(row.ended_at - row.started_at)
    return kept
