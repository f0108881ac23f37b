"""What is read before a decision: who runs for the same things, how they have ended, who rests, how much goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.admission_facts import (
    BUDGET_WINDOW,
    About,
    Ended,
    Known,
    Limits,
    Quiet,
    Running,
    storm_names,
)
from workflow_service.domain.alert import Alert, alert_from_json, alert_to_json
from workflow_service.domain.silence import Matchers, Standing, holding
from workflow_service.intake import statements as sql
from workflow_service.store import silences


async def known_of(
    connection: AsyncConnection, abouts: Sequence[About], *, limits: Limits, matchers: Matchers, now: datetime
) -> Known:
    """All that is known about these things, as `connection` sees it."""
    names = {name for about in abouts for name in about.names}
    storms = limits.storm_in_namespace or limits.storm_in_cluster
    wide = {name for about in abouts for name in storm_names(about)} if storms else set[str]()
    known = Known()
    for row in await connection.execute(sql.ACTIVE, {"names": sorted(names | wide)}):
        known.active[row.identity] = Running(row.workflow_id, row.started_at)
    ended: defaultdict[str, list[Ended]] = defaultdict(list)
    since = {"since": now - limits.memory, "since_nothing": now - limits.no_action_memory}
    for end in await connection.execute(sql.ENDED, {"names": sorted(names), **since}):
        ended[end.identity].append(_ended(end))
    known.ended = ended
    if standing := matchers.standing(await silences.current(connection, now), now):
        known.quiet = partial(_quiet, standing)
    await _count(connection, known, limits, now)
    return known


async def _count(connection: AsyncConnection, known: Known, limits: Limits, now: datetime) -> None:
    """How many workflows have begun where, for storms and budgets."""
    storm = now - limits.storm_window
    storms = limits.storm_in_namespace or limits.storm_in_cluster
    budgets = limits.budget_in_namespace or limits.budget_in_cluster
    if not storms and not budgets:
        return
    since = min(storm, now - BUDGET_WINDOW) if budgets else storm
    for row in await connection.execute(sql.BEGUN, {"since": since, "storm": storm, "budget": now - BUDGET_WINDOW}):
        cluster = row.cluster or limits.clusters.own
        for place in (cluster, f"{cluster}/{row.namespace}") if row.namespace else (cluster,):
            known.begun[place] = known.begun.get(place, 0) + row.number
            known.spent[place] = known.spent.get(place, 0) + row.spent
            if row.oldest is not None:
                known.oldest[place] = min(row.oldest, known.oldest.get(place, row.oldest))


def _ended(row: Any) -> Ended:
    end = Ended(row.workflow_id, row.status, row.ended_at, row.reason, row.started_at)
    if row.document is None:
        return end
    alert = alert_from_json(row.document)
    return replace(end, starts_at=alert.starts_at, severity=alert.severity)


def _quiet(standing: Sequence[Standing], alert: Alert) -> Quiet | None:
    found = holding(standing, alert_to_json(alert))
    if found is None:
        return None
    silence = found.silence
    why = "a maintenance window" if silence.kind == "maintenance" else "a silence"
    return Quiet(silence.id, f"{why}: {silence.comment}" if silence.comment else why, found.until)
