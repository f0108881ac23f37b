"""Planning when no AI answers: the deterministic half, against executors over real HTTP and against none."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.unit.factories import action_of
from tests.unit.planning_cases import CATALOGUE, changing, types
from workflow_service.clients.executor import HttpExecutor
from workflow_service.clients.session import SharedSession
from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.planner import Planned, Planner
from workflow_service.planning.rule_file import read_rules

DISK = Alert(name="DiskSpaceHigh", severity="critical", namespace="production")
CPU = Alert(name="HighCPUUsage", severity="critical", namespace="production", resource="pod/web-server-123")
_OWNERS = [
    {"kind": "ReplicaSet", "namespace": "production", "name": "web-server-6d4f"},
    {"kind": "Deployment", "namespace": "production", "name": "web-server"},
]
CLUSTER: dict[str, dict[str, Any]] = {
    "web-server-123": {"found": True, "facts": {"phase": "Running", "node": "node-1"}, "owners": _OWNERS},
    "web-server": {"found": True, "facts": {"replicas": 3}, "owners": []},
}


async def observe(request: web.Request) -> web.Response:
    """The executor's `observe` over a small cluster; an object without an entry breaks it."""
    seen = CLUSTER.get((await request.json())["name"])
    if seen is None:
        return web.json_response({"detail": "the API server is away"}, status=503)
    return web.json_response({**seen, "observed_at": "2026-11-22T03:00:00Z"})


@pytest.fixture
async def session() -> AsyncIterator[SharedSession]:
    """The process's outbound session."""
    session = SharedSession()
    yield session
    await session.close()


@pytest.fixture
async def executor(session: SharedSession) -> AsyncIterator[HttpExecutor]:
    """A client of an executor that can look at the cluster."""
    app = web.Application()
    app.router.add_post("/api/v1/observe", observe)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield HttpExecutor(f"http://127.0.0.1:{runner.addresses[0][1]}", session, token=lambda: None)
    await runner.cleanup()


@pytest.fixture
def nobody(session: SharedSession) -> HttpExecutor:
    """A client of an executor that is down."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    return HttpExecutor(f"http://127.0.0.1:{port}", session, token=lambda: None)


async def plan(executor: HttpExecutor, alert: Alert, catalogue: Catalogue | None = CATALOGUE) -> Planned:
    """What the planner makes of an alert."""

    async def load() -> Catalogue | None:
        return catalogue

    return await Planner(executor, read_rules(), limits=PlanLimits(), load_catalogue=load, cluster="default").plan(
        alert
    )


async def test_without_ai_a_workflow_is_still_made(executor: HttpExecutor) -> None:
    """DiskSpaceHigh gets at least one action, by rule, and the metadata is honest about it."""
    planned = await plan(executor, DISK)
    assert planned.plan.steps
    assert planned.target is None
    assert planned.plan.metadata["creation_method"] == planned.plan.creation_method == "fallback"
    assert planned.plan.metadata["ai_provider"] == "none"


async def test_the_owner_is_found_by_looking(executor: HttpExecutor) -> None:
    """The plan for a pod is made with what was seen of the Deployment that owns it."""
    planned = await plan(executor, CPU)
    [scale] = changing(planned.plan)
    assert action_of(scale).parameters["replicas"] == 4
    assert planned.target is not None
    assert planned.target.kind == "Pod"
    assert planned.plan.metadata["observation"]["facts"]["owner"] == {"replicas": 3}


async def test_with_the_executor_down_there_is_a_plan_too(nobody: HttpExecutor) -> None:
    """The last stored catalogue, or none, is enough; the plan says that nobody could look."""
    for catalogue in (CATALOGUE, None):
        planned = await plan(nobody, CPU, catalogue)
        assert "restart_pod" in types(planned.plan)
        assert planned.observation is None
        assert "Unreachable" in planned.plan.metadata["observation"]["why_not"]


async def test_what_was_seen_of_the_target_counts_when_its_owner_cannot_be_seen(
    executor: HttpExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner is known by name though its replicas are not: no number is guessed."""
    monkeypatch.delitem(CLUSTER, "web-server")
    planned = await plan(executor, CPU)
    assert planned.plan.rule == "cpu_of_a_pod"
    assert planned.observation is not None
    assert "why_not" in planned.plan.metadata["observation"]
