"""Back in time: a copy made in mid-run is restored, everything ends, and the audit log shows each change once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.support.postgres import TOOLS, Postgres, postgres
from tests.support.processes import Stack, eventually
from workflow_service.store.tables import target_locks

WORKFLOWS = 12

pytestmark = [pytest.mark.durability, pytest.mark.timeout(240), pytest.mark.requirement("BR-WF-001", "BR-WF-004")]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for this module."""
    with postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """All three programs, on either database; three executions at a time, so that some wait."""
    url = request.getfixturevalue("server").database() if request.param == "postgresql" else None
    with Stack(tmp_path, database_url=url, MAX_CONCURRENT_WORKFLOWS="3") as running:
        yield running


def _run(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, with the service's own settings."""
    environment = {**stack.workflow._environment, "PATH": f"{TOOLS}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "workflow_service", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _send(stack: Stack) -> list[str]:
    names = [f"shop-{number}" for number in range(WORKFLOWS)]
    stack.add_deployments("production", names)
    for name in names:
        alert = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production"}
        answer = stack.execute({**alert, "resource": f"deployment/{name}"}, prefer="respond-async")
        assert answer.status_code in {200, 202}, answer.text
    return names


def _planned(stack: Stack) -> bool:
    return all(one["status"] not in {"created", "planning"} for one in stack.workflows())


@pytest.mark.parametrize("ran_on", [False, True], ids=["killed", "ran-to-the-end"])
def test_back_in_time(stack: Stack, tmp_path: Path, ran_on: bool) -> None:
    """Whether or not the lost time had finished everything: after a restore all complete, no change is made twice."""
    names, copy = _send(stack), tmp_path / "copy"
    eventually(lambda: _planned(stack) and len(stack.effects()) >= 2, "some changes are made")
    done = _run(stack, "backup", "--to", str(copy))
    assert (done.returncode, done.stderr) == (0, "")
    refused = _run(stack, "restore", "--from", str(copy), "--force")
    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    stack.workflow.kill()
    if ran_on:
        stack.workflow.start("/readyz")
        eventually(lambda: stack.ended(WORKFLOWS), "the lost time brings everything to its end", within=90)
        stack.workflow.kill()
    refused = _run(stack, "restore", "--from", str(copy))
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    eventually(lambda: _restored(stack, copy), "the dead one's sessions are gone")
    stack.workflow.start("/readyz")
    found = eventually(lambda: stack.ended(WORKFLOWS), "all workflows are over", within=90) or []
    assert {one["status"] for one in found} == {"completed"}
    scaled = Counter(write["name"] for write in stack.effects() if write["resource"] == "deployments")
    assert scaled == Counter(names)
    assert _locks(stack) == 0


def _locks(stack: Stack) -> int:
    """How many targets are held."""
    given = stack.workflow._environment.get("DATABASE_URL")
    file = f"sqlite:///{stack.workflow._environment['DATA_DIR']}/workflow-service.sqlite"
    engine = sa.create_engine(sa.make_url(given).set(drivername="postgresql+psycopg") if given else file)
    try:
        with engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(target_locks)) or 0)
    finally:
        engine.dispose()


def _restored(stack: Stack, copy: Path) -> bool:
    done = _run(stack, "restore", "--from", str(copy), "--force")
    assert "in use" in done.stderr or "executions go on at the next start" in done.stdout, done.stderr
    return done.returncode == 0
