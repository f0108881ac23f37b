"""Guardrails on two replicas of one PostgreSQL: a halt told to one holds the other, and both share one budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.postgres import postgres
from tests.support.processes import eventually
from tests.support.two_replicas import Two

pytestmark = [pytest.mark.durability, pytest.mark.timeout(240), pytest.mark.requirement("BR-WF-005")]
POLICY = "version: 1\nbudgets: {namespace: 3}\n"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both replicas, with room for three changes an hour in each namespace."""
    directory = tmp_path_factory.mktemp("two")
    (directory / "policy.yaml").write_text(POLICY, "utf-8")
    with (
        postgres() as server,
        Two(directory, server.database(), POLICY_FILE=str(directory / "policy.yaml")) as running,
    ):
        yield running


def begin(two: Two, url: str, namespace: str, name: str) -> str:
    """A workflow of one replica that scales a new deployment from 1 to 2; its id."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    made = two.http.post(f"{two.sandbox.url}/api/v1/namespaces", json=space)
    assert made.status_code in {201, 409}, made.text
    two.add_deployments(namespace, [name])
    alert = {"name": "HighCPUUsage", "severity": "high", "namespace": namespace, "resource": f"deployment/{name}"}
    answer = two.http.post(f"{url}/api/v1/execute", json=alert, headers={"Prefer": "respond-async"})
    assert answer.status_code in {200, 202}, answer.text
    return str(answer.json()["result"]["workflow_id"])


def is_held(found: dict[str, Any]) -> bool:
    """Whether guardrails have held it."""
    return any(event["kind"] == "Held" for event in found["events"])


def scaled(two: Two, namespace: str, names: list[str]) -> int:
    """How many of these the cluster has been told to scale."""
    return sum(two.deployment(namespace, name)["spec"]["replicas"] == 2 for name in names)


def test_both_share_one_budget(two: Two) -> None:
    """Eight workflows on two replicas at once, room for three: three change something, five are held and say why."""
    names = [f"race-{number}" for number in range(8)]
    urls = [two.workflow.url, two.other.url] * 4
    started = [begin(two, url, "race", name) for url, name in zip(urls, names, strict=True)]

    def settled() -> list[dict[str, Any]]:
        found = [two.seen(workflow) for workflow in started]
        return found if all(one["ended_at"] or is_held(one) for one in found) else []

    found = eventually(settled, "each has ended or is held")
    held = [one for one in found if not one["ended_at"]]
    assert (len(held), scaled(two, "race", names)) == (5, 3)
    answer = two.http.post(f"{two.other.url}/api/v1/explain", json={"workflow_id": held[0]["workflow_id"]})
    assert {one["rule"]: one["word"] for one in answer.json()["findings"]}["budget"] == "held"


def test_a_halt_that_one_is_told_holds_the_other(two: Two) -> None:
    """Nothing that the first begins goes on after a moment; taken back at the second, it does."""
    told = two.http.post(f"{two.other.url}/api/v1/halt", json={"reason": "all wrong"})
    assert told.status_code == 200, told.text
    begun: list[str] = []

    def one_is_held() -> bool:
        begun.append(begin(two, two.workflow.url, f"halted-{len(begun)}", "web"))  # each with a budget of its own

        def goes_or_not() -> dict[str, Any] | None:
            found = two.seen(begun[-1])
            return found if found["ended_at"] or is_held(found) else None

        return not (eventually(goes_or_not, "it goes or not") or {})["ended_at"]

    eventually(one_is_held, "the first replica has heard of it")
    namespace = f"halted-{len(begun) - 1}"
    assert scaled(two, namespace, ["web"]) == 0
    two.http.delete(f"{two.other.url}/api/v1/halt")
    two.until(begun[-1], "completed")
    assert scaled(two, namespace, ["web"]) == 1
