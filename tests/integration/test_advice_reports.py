"""What came of advice is told after the end, at an address of the operator's, and counted; nobody waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web

from tests.support import stub_ai
from tests.support.questions import pick, text
from tests.support.replica import HIGH_CPU, act, eventually, replica, rules_of
from tests.support.rows import eventually as eventually_in
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.stub_ai import OPENAI, StubAi
from workflow_service import advising
from workflow_service.domain.advice_outcome import outcome_of
from workflow_service.store.tables import advice_reports

pytestmark = pytest.mark.requirement("BR-WF-001")


class Listener:
    """Takes reports, or refuses them."""

    def __init__(self, status: int) -> None:
        self.status, self.url = status, ""
        self.heard: list[dict[str, Any]] = []

    async def take(self, request: web.Request) -> web.Response:
        """One report."""
        self.heard.append(await request.json())
        return web.Response(status=self.status)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Listener]:
        """It answers as long as the block lasts."""
        app = web.Application()
        app.router.add_post("/outcomes", self.take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/outcomes"
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest.mark.parametrize(("percent", "status"), [(82, 200), (69, 200), (82, 500)])
async def test_an_outcome_is_told_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: int, status: int
) -> None:
    """Once for a run, used or not; a listener that refuses is tried again later, and the run's end never waited."""
    monkeypatch.setattr(advising, "REPORT", 0.05)
    said = text(pick("cure", parameters={}, priority=2), suggested=[], confidence_percent=percent)
    monkeypatch.setitem(stub_ai.WRITINGS, "said", lambda: said)
    async with StubAi(OPENAI, "said").serving() as stub, Listener(status).serving() as listener:
        given: Any = {"AI_PROVIDER": "openai", "AI_SERVICE_URL": stub.url, "AI_OUTCOMES_URL": listener.url}
        rules = rules_of(tmp_path, act("cure", on="target"))
        async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules, **given) as running:
            await eventually(running.parts.advising.there, "the advisor is found")
            result = await running.result(HIGH_CPU)
            await eventually(lambda: listener.heard, "a report comes")

            async def settled() -> sa.Row[Any] | None:
                async with running.parts.database.read() as connection:
                    row = (await connection.execute(sa.select(advice_reports))).one()
                done = row.trouble is not None if status == 500 else row.due_at is None
                return row if done else None

            row = await eventually_in(settled, "it is settled")
            metrics = (await running.http.get("/metrics")).text
    assert row is not None
    [report, *others] = listener.heard
    assert not others
    assert (report["workflow_id"], report["status"], report["success"]) == (result["workflow_id"], "completed", True)
    assert report["used"] is result["ai_analysis_applied"] is (percent == 82)
    assert [one["task"] for one in report["answers"]] == ["enhance"]
    assert "web-server" not in str(report)
    used = str(percent == 82).lower()
    assert f'ai_advice_outcomes_total{{provider="openai",status="completed",used="{used}"}} 1.0' in metrics
    assert (row.trouble, row.tries) == ("answered 500" if status == 500 else None, 1)


def test_where_nobody_answered_there_is_nothing_to_tell() -> None:
    """A plan without advice, or with a question that came to nothing, is no advisor's outcome."""
    assert outcome_of({}, {}) is None
    assert outcome_of({}, {"advice": {"outcome": "unavailable", "advice": None}}) is None
