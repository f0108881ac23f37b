"""Version N-1 beside version N on one schema: both serve, and what only N can read waits for N."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import Postgres, postgres
from tests.support.processes import Program, Stack, eventually

WORKFLOWS = 12
LOG = 100_000_000  # more than any log

pytestmark = [pytest.mark.durability, pytest.mark.timeout(240), pytest.mark.requirement("BR-WF-001", "BR-WF-004")]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for this module."""
    with postgres() as running:
        yield running


def test_two_versions_side_by_side(server: Postgres, tmp_path: Path) -> None:
    """Each drives some; with N killed, N-1 leaves N's alone and says so; with N back all end, each change once."""
    names = [f"app-{number}" for number in range(WORKFLOWS)]
    with Stack(
        tmp_path, database_url=server.database(), LEASE_TTL="2s", MAX_CONCURRENT_WORKFLOWS="2", EXECUTE_WAIT="1s"
    ) as stack:
        newer = stack.workflow.twin(log=tmp_path / "newer.log", module="tests.support.newer_version")
        newer.start("/readyz")
        try:
            stack.add_deployments("production", names)
            for name in names:
                alert = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production"}
                answer = stack.execute({**alert, "resource": f"deployment/{name}"}, prefer="respond-async")
                assert answer.status_code in {200, 202}, answer.text
            eventually(lambda: all(_drives(one) for one in (stack.workflow, newer)), "both drive some")
            newer.kill()
            eventually(lambda: _left(stack), "N-1 has done all that it can", within=90)
            newer.start("/readyz")
            over = eventually(lambda: stack.ended(WORKFLOWS), "all are over", within=90)
        finally:
            newer.kill()
        assert over is not None
        assert {one["status"] for one in over} == {"completed"}
        changed = Counter(write["name"] for write in stack.effects() if write["resource"] == "deployments")
        assert {name: changed[name] for name in names} == dict.fromkeys(names, 1)
        assert stack.workflow.log_end(LOG).count("drive failed") == 0


def _drives(program: Program) -> bool:
    return "executing workflow action" in program.log_end(LOG)


def _left(stack: Stack) -> list[dict[str, Any]] | None:
    """Those that are not over, once all others are: N-1 answers for its own, and those of N it cannot read."""
    open_ = [one for one in stack.workflows() if not one["ended_at"]]
    codes = [stack.http.get(f"{stack.workflow.url}/api/v1/workflows/{one['workflow_id']}").status_code for one in open_]
    return open_ if open_ and set(codes) == {503} else None
