"""The OpenAPI document against the running service: thousands of made-up requests, every check of schemathesis.

Event streams are left out, since they do not end: tests/integration/test_event_streams.py has them, at a replica that
is about to stop.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import Stack
from tests.support.schemathesis import command_of

BIN = Path(sys.executable).parent
NO_LIMITS = {"RATE_LIMIT": "100000", "RATE_BURST": "100000"}

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The service on loopback, which asks nobody."""
    with Stack(tmp_path_factory.mktemp("open"), EXECUTE_WAIT="1s") as stack:
        yield stack


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The service that asks for keys."""
    with Stack(tmp_path_factory.mktemp("keys"), EXECUTE_WAIT="1s", AUTH_MODE="keys", **NO_LIMITS) as stack:
        yield stack


def key_of(stack: Stack) -> str:
    """A key that may do everything."""
    command = [str(BIN / "workflow-service"), "keys", "create", "--name", "root", "--scope", "admin"]
    environment = stack.workflow._environment
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def expect_truth(stack: Stack, directory: Path, *arguments: str) -> int:
    """Run all checks on all operations; how many requests were made."""
    command = command_of(stack.workflow.url, "--exclude-path-regex", "/events$", *arguments)
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found is not None, done.stdout[-2000:]
    return int(found[2])


def test_without_authentication(unguarded: Stack, tmp_path: Path) -> None:
    """No answer that the document does not tell, no refusal of what it allows, no acceptance of what it forbids."""
    assert expect_truth(unguarded, tmp_path) > 500


def test_with_a_key(guarded: Stack, tmp_path: Path) -> None:
    """The same for who may do everything, and a key that is missing or wrong is noticed on every operation."""
    assert expect_truth(guarded, tmp_path, "--header", f"Authorization: Bearer {key_of(guarded)}") > 500


def test_without_a_key(guarded: Stack, tmp_path: Path) -> None:
    """The same for who has none: 401 or 429, as documented."""
    assert expect_truth(guarded, tmp_path) > 500
