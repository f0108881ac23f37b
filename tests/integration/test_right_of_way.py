"""Workflows give way to alerts that come in, and go on; on one replica."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.replica import HIGH_CPU, act, eventually, replica, rules_of
from tests.support.scripted_executor import Answer, ScriptedExecutor

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-004")]

FOR_EVER = 3600.0


async def test_a_workflow_gives_way_before_it_plans_and_before_it_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a delivery is under way nobody looks at a target, and no step follows another; afterwards it goes on."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        way, inbox = running.parts.way, running.parts.reception.inbox
        monkeypatch.setattr(way, "_longest", FOR_EVER)

        async def gives_way() -> None:
            await eventually(lambda: len(way._waiting) == 1, "the workflow gives way")

        with inbox.place():
            workflow = await running.begin(HIGH_CPU)
            await gives_way()
            assert executor.looked_at == []
        await eventually(executor.running, "the first step runs")
        with inbox.place():
            executor.finish()
            await gives_way()
            assert len(executor.sent) == 1
        await running.ended(workflow)
    assert len(executor.effects) == 2


async def test_deliveries_without_end_stop_no_workflow(tmp_path: Path) -> None:
    """It gives way each time for a moment only."""
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules) as running:
        with running.parts.reception.inbox.place():
            async with asyncio.timeout(20):
                await running.ended(await running.begin(HIGH_CPU))
