"""Budgets under a race, on either database: the last of one goes to one of those who want it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from workflow_service.domain.errors import BudgetSpent
from workflow_service.domain.guardrails_about import Override
from workflow_service.domain.policy import Budgets
from workflow_service.store import changes, declared
from workflow_service.store.changes import Change
from workflow_service.store.database import Database
from workflow_service.store.retention import Keep, forget

pytestmark = pytest.mark.requirement("BR-WF-005")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ONE = Change("e0", "scale", NOW, "default", "prod", "target:default/prod/deployment/web", "scale_deployment")


async def take(database: Database, change: Change, budgets: Budgets) -> bool:
    """Whether there was room."""
    try:
        async with database.write() as connection:
            await changes.begin(connection, [(change, budgets)], sqlite=database.sqlite)
    except BudgetSpent:
        return False
    return True


async def used(database: Database) -> dict[str, int]:
    """What is counted within the hour."""
    found = await changes.used(database, cluster="default", targets=[ONE.target], namespaces=["prod", "dev"], now=NOW)
    return dict(found)


@pytest.mark.parametrize("budgets", [Budgets(target=3), Budgets(namespace=3), Budgets(cluster=3)])
async def test_many_at_once_take_no_more_than_there_is(database: Database, budgets: Budgets) -> None:
    """Ten parallel transactions, room for three: three are written, nothing is left of the others."""
    every = [replace(ONE, execution_id=f"e{number}") for number in range(10)]
    went = await asyncio.gather(*(take(database, change, budgets) for change in every))
    assert sum(went) == 3
    assert await used(database) == {"": 3, ONE.target: 3, "prod": 3, "dev": 0}


async def test_a_step_counts_once(database: Database) -> None:
    """A retry of it, or a commit whose answer was lost, is no other change; who holds a place keeps it."""
    for _ in range(2):
        assert await take(database, ONE, Budgets(target=1))
    assert not await take(database, replace(ONE, execution_id="e1"), Budgets(target=1))
    assert await take(database, ONE, Budgets(target=1))
    assert (await used(database))[ONE.target] == 1


async def test_an_hour_later_there_is_room_again(database: Database) -> None:
    """Only the last hour counts; older changes are forgotten by their age."""
    assert await take(database, replace(ONE, at=NOW - timedelta(hours=1)), Budgets(target=1))
    assert await take(database, replace(ONE, execution_id="e1"), Budgets(target=1))
    assert await changes.forget(database, begun_before=NOW) == 1
    assert (await used(database))[""] == 1


async def test_other_places_have_budgets_of_their_own(database: Database) -> None:
    """Another target and another namespace; without a budget nothing is refused."""
    assert await take(database, ONE, Budgets(target=1, namespace=1))
    other = replace(ONE, execution_id="e1", target="target:default/dev/deployment/web", namespace="dev")
    assert await take(database, other, Budgets(target=1, namespace=1))
    assert not await take(database, replace(other, execution_id="e2"), Budgets(cluster=2))
    assert await take(database, replace(other, execution_id="e3"), Budgets())


async def test_the_jobs_of_retention_forget_what_nobody_asks_for(database: Database) -> None:
    """Changes after two days, overrides when the audit class has passed since they expired; what counts stays."""
    await take(database, ONE, Budgets())
    glass = Override("o1", ("freeze",), "*", None, "fire", "ana", NOW)
    await declared.override(database, glass, now=NOW)
    kept = Keep(*[timedelta(days=3)] * 4)
    for days, left in ((1, (1, 1)), (3, (0, 1)), (4, (0, 0))):
        await forget(database, kept, now=NOW + timedelta(days=days))
        rows = await declared.listed_overrides(database, limit=10)
        assert ((await used(database))[""], len(rows)) == left
