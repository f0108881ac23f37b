"""One whole replica inside the test's process: the composition root's own parts on SQLite, with a scripted executor.

DBOS is one per process, so only one replica can run at a time; another on the same directory is a restart.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import yaml
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.app import Replica
from workflow_service.domain.alert import Alert
from workflow_service.domain.plan import Plan
from workflow_service.engine.means import Means
from workflow_service.ports import Executor
from workflow_service.settings import Settings, load

DEADLINE = 20.0  # seconds until a test gives up waiting for a condition
FRESH = Path(tempfile.mkdtemp(prefix="fresh-replica-"))  # the state after a first start, made once and then copied
atexit.register(shutil.rmtree, FRESH, ignore_errors=True)

HIGH_CPU = {
    "name": "HighCPUUsage",
    "severity": "critical",
    "namespace": "production",
    "resource": "pod/web-server-123",
    "labels": {"alertname": "HighCPUUsage", "severity": "critical"},
}
MEMORY_LEAK = {
    "name": "MemoryLeak",
    "severity": "warning",
    "namespace": "staging",
    "resource": "deployment/api-server",
}
DISK_SPACE_HIGH = {"name": "DiskSpaceHigh", "severity": "critical", "namespace": "production"}

Found = TypeVar("Found")


async def eventually(look: Callable[[], Found], what: str, *, within: float = DEADLINE) -> Found:
    """The first true answer of `look`; fails when there is none in time."""
    until = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < until, f"did not happen within {within:g} s: {what}"
        await asyncio.sleep(0.01)
    return found


def act(name: str, action_type: str = "touch", **more: Any) -> dict[str, Any]:
    """One action of a rule file."""
    return {"id": name, "type": action_type, **more}


def rules_of(
    directory: Path,
    *actions: Mapping[str, Any],
    recovery: list[dict[str, Any]] | None = None,
    failures: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """The path of a rule file whose one rule, with `more` of its keys, answers every alert with these actions."""
    rule: dict[str, Any] = {"name": "test", "reason": "the test says so", "actions": [dict(one) for one in actions]}
    rule |= {} if recovery is None else {"recovery": recovery}
    rule |= more
    path = directory / "rules.yaml"
    document = {"version": 1, "rules": [rule], **({"failures": dict(failures)} if failures else {})}
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return str(path)


class Running:
    """A replica that runs, its executor, its API and its log."""

    def __init__(
        self, parts: Replica, executor: ScriptedExecutor, http: httpx2.AsyncClient, *, log: list[EventDict]
    ) -> None:
        self.parts, self.executor, self.http, self.log = parts, executor, http, log

    async def execute(self, alert: Mapping[str, Any], *, prefer: str | None = None) -> httpx2.Response:
        """POST an alert."""
        headers = {"Prefer": prefer} if prefer else {}
        return await self.http.post("/api/v1/execute", json=alert, headers=headers)

    async def result(self, alert: Mapping[str, Any]) -> dict[str, Any]:
        """The result of an alert whose workflow has ended."""
        answer = await self.execute(alert)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "success"
        return dict(answer.json()["result"])

    async def begin(self, alert: Mapping[str, Any]) -> str:
        """Send an alert without waiting; the id of its workflow."""
        answer = await self.execute(alert, prefer="respond-async")
        assert answer.status_code in {200, 202}, answer.text
        return str(answer.json()["result"]["workflow_id"])

    async def detail(self, workflow_id: str) -> dict[str, Any]:
        """One workflow whole."""
        answer = await self.http.get(f"/api/v1/workflows/{workflow_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def until(self, workflow_id: str, holds: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """The workflow as soon as `holds` of it."""
        deadline = time.monotonic() + DEADLINE
        while not holds(found := await self.detail(workflow_id)):
            assert time.monotonic() < deadline, f"did not happen within {DEADLINE:g} s: {what}\n{found['events']}"
            await asyncio.sleep(0.02)
        return found

    async def ended(self, workflow_id: str) -> dict[str, Any]:
        """The workflow once it is over."""
        return await self.until(workflow_id, lambda found: found["ended_at"], "the workflow ends")


class Planned(Replica):
    """A replica that answers every alert with the plan that it was given."""

    def __init__(self, given: Settings, plan: Plan, *, executor: Executor | None) -> None:
        self._plan = plan
        super().__init__(given, executor=executor)

    def _means(self, replica: str) -> Means:
        async def plan_for(_alert: Alert, _ordered: object) -> tuple[Plan, object, object, tuple[Plan, ...]]:
            return self._plan, None, None, ()

        site = replace(self.sites.own, plan_for=plan_for)
        return replace(super()._means(replica), site=site, site_of=lambda _alert: site)


def settings(directory: Path, **environment: str) -> Settings:
    """Settings as the service would read them, with all state in `directory`."""
    usual = {"DATA_DIR": str(directory / "data"), "LEASE_TTL": "1s", "AI_PROVIDER": "none"}
    return load({**usual, **environment})


@asynccontextmanager
async def replica(
    directory: Path,
    executor: ScriptedExecutor,
    *,
    through: Callable[[Executor], Executor | None] = lambda executor: executor,
    plan: Plan | None = None,
    **environment: str,
) -> AsyncIterator[Running]:
    """A replica that lives as long as the block; leaving the block is a graceful stop.

    `through` puts something between the replica and the executor; None: the one at EXECUTOR_SERVICE_URL. `plan` is what
    is done about every alert.

    Drives survive their own bugs, so the log is held against them: an error line fails the test.
    """
    await _have_state(directory)
    with capture_logs(processors=[merge_contextvars]) as log:
        given, carries = settings(directory, **environment), through(executor)
        parts = Planned(given, plan, executor=carries) if plan else Replica(given, executor=carries)
        async with parts.lifespan(parts.app):
            transport = httpx2.ASGITransport(app=parts.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://replica", timeout=60) as http:
                yield Running(parts, executor, http, log=log)
    broken = [line for line in log if line["log_level"] in {"error", "critical"}]
    assert not broken, broken


async def _have_state(directory: Path) -> None:
    # DBOS takes a second to notice queues that it has never seen; tests need not wait for that again and again.
    if not (FRESH / "data").exists():
        first = Replica(settings(FRESH), executor=ScriptedExecutor())
        async with first.lifespan(first.app):
            pass
    if not (directory / "data").exists():
        shutil.copytree(FRESH / "data", directory / "data")


def kinds(found: Mapping[str, Any], step: str | None = None) -> list[str]:
    """The kinds of a workflow's events, in order; only those about `step`."""
    return [event["kind"] for event in found["events"] if step is None or event.get("step") == step]


def steps(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The steps of a detail or of a result, by id."""
    result = found.get("result", found)
    return {step["id"]: step for step in result["execution_details"]["steps"]}
