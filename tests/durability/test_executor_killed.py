"""executor-service killed again and again: each intended change is in the cluster's audit log exactly once.

`ACTIONS=1000` makes it a thousand actions; it takes some minutes.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.processes import Stack, eventually

ACTIONS = int(os.environ.get("ACTIONS", "100"))
TARGETS = 50  # deployments, each of which is changed once per round
SENDERS = 10
LIVES = (1.0, 3.0)  # seconds between two kills
SEED = 20261123
BOUND = 60.0  # seconds in which one action has to be over, kills included

pytestmark = [pytest.mark.durability, pytest.mark.timeout(1200), pytest.mark.requirement("BR-WF-004")]


def test_every_change_once_however_often_it_is_killed(tmp_path: Path) -> None:
    """Whoever repeats an order under its key until it is over has had one effect; a key cancelled before has none."""
    stack = Stack(tmp_path)
    names = [f"shop-{number}" for number in range(TARGETS)]
    rounds = max(1, ACTIONS // TARGETS)
    stack.sandbox.start("/version")
    stack.executor.start("/readyz")
    try:
        stack.add_deployments("production", names)
        with _killing(stack) as kills, ThreadPoolExecutor(SENDERS) as senders:
            for number in range(rounds):
                replicas = 2 - number % 2
                ended = senders.map(lambda name: _ordered(stack, f"{name}:{number}", name, replicas), names)  # noqa: B023
                assert Counter(answer["status"] for answer in ended) == {"completed": TARGETS}
            late = senders.map(lambda name: _cancelled_first(stack, f"{name}:late", name), names)
            assert Counter(late) == {"cancelled": TARGETS}
        assert kills
        changed = Counter(write["name"] for write in stack.effects() if write["resource"] == "deployments")
        assert changed == dict.fromkeys(names, rounds)
    finally:
        stack.__exit__(None, None, None)


@contextmanager
def _killing(stack: Stack) -> Iterator[list[float]]:
    """Within the block the executor is killed at random moments, and started again; the moments."""
    moments: list[float] = []
    over, lives = threading.Event(), random.Random(SEED)  # noqa: S311 - a schedule, not a secret

    def kill() -> None:
        while not over.wait(lives.uniform(*LIVES)):
            stack.executor.kill()
            moments.append(time.monotonic())
            stack.executor.start("/readyz")

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield moments
    finally:
        over.set()
        killer.join()


def _ordered(stack: Stack, key: str, name: str, replicas: int) -> dict[str, Any]:
    """What became of the order, repeated under its key until somebody says that it is over."""

    def look() -> dict[str, Any] | None:
        answer = _told(stack, "/api/v1/execute", key, _order(name, replicas))
        return answer if answer and answer["status"] not in {"running", "pending"} else None

    found = eventually(look, f"{key} is over", within=BOUND)
    assert found is not None
    return found


def _cancelled_first(stack: Stack, key: str, name: str) -> str:
    """What an order says that arrives after its key was cancelled."""
    eventually(lambda: _told(stack, f"/api/v1/actions/by-key/{key}/cancel", key, {}), f"{key} is dead", within=BOUND)
    return str(_ordered(stack, key, name, 9)["status"])


def _order(name: str, replicas: int) -> dict[str, Any]:
    parameters = {"namespace": "production", "resource_name": name, "replicas": replicas}
    action = {"id": name, "type": "scale_deployment", "parameters": parameters}
    return {"action": action, "context": {"remaining_seconds": BOUND}}


def _told(stack: Stack, path: str, key: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """The answer; None when nobody answered, or with a 5xx."""
    try:
        answer = httpx2.post(f"{stack.executor.url}{path}", json=body, headers={"Idempotency-Key": key}, timeout=15)
    except httpx2.HTTPError:
        return None
    return dict(answer.json()) if answer.status_code < 500 else None
