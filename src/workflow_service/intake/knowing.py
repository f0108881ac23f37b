"""What is read before a decision: who runs for the same things, how they have ended, who rests, how much goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import attrgetter
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
    names = sorted({name for about in abouts for name in about.names})
    storms = limits.storm_in_namespace or limits.storm_in_cluster
    wide = sorted({*names, *[name for about in abouts for name in storm_names(about)]}) if storms else names
    times = {"now": now, "since": now - limits.memory, "since_nothing": now - limits.no_action_memory}
    statement = sql.KNOWN
    if storms or limits.budget_in_namespace or limits.budget_in_cluster:
        statement, times = sql.KNOWN_AND_BEGUN, times | _counted(limits, now)
    known = Known()
    ended: defaultdict[str, list[Ended]] = defaultdict(list)
    for row in await connection.execute(statement, {"names": names, "wide": wide, **times}):
        match row.kind:
            case "active":
                known.active[row.name] = Running(row.workflow_id, row.at)
            case "ended":
                ended[row.name].append(_ended(row))
            case "quiet":
                standing = matchers.standing(await silences.current(connection, now), now)
                known.quiet = partial(_quiet, standing) if standing else known.quiet
            case _:
                _count(known, row, row.cluster or limits.clusters.own)
    known.ended = {name: sorted(ends, key=attrgetter("at"), reverse=True) for name, ends in ended.items()}
    return known


def _counted(limits: Limits, now: datetime) -> dict[str, datetime]:
    """Since when workflows are counted, for storms and for budgets."""
    storm, budget = now - limits.storm_window, now - BUDGET_WINDOW
    budgets = limits.budget_in_namespace or limits.budget_in_cluster
    return {"storm": storm, "budget": budget, "counted": min(storm, budget) if budgets else storm}


def _count(known: Known, row: Any, cluster: str) -> None:
    """How many workflows have begun where, for storms and budgets."""
    for place in (cluster, f"{cluster}/{row.namespace}") if row.namespace else (cluster,):
        known.begun[place] = known.begun.get(place, 0) + row.begun
        known.spent[place] = known.spent.get(place, 0) + row.spent
        if row.at is not None:
            known.oldest[place] = min(row.at, known.oldest.get(place, row.at))


def _ended(row: Any) -> Ended:
    end = Ended(row.workflow_id, row.status, row.ended_at, row.reason, row.at)
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
