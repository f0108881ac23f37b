"""Telling workflows what to do over HTTP, in the states that matter, on the real stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.processes import Stack, eventually

pytestmark = [pytest.mark.timeout(120), pytest.mark.requirement("BR-WF-005", "BR-WF-015")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All three programs; one execution at a time, so that others wait for a slot."""
    with Stack(tmp_path_factory.mktemp("controls"), MAX_CONCURRENT_WORKFLOWS="1") as running:
        yield running


@pytest.fixture(autouse=True)
def clean(stack: Stack) -> Iterator[None]:
    """No scripted faults, and nothing left running that would hold the slot."""
    yield
    stack.http.delete(f"{stack.sandbox.url}/sandbox/faults")
    for one in stack.workflows():
        if not one["ended_at"]:
            command(stack, one["workflow_id"], "cancel")
    eventually(lambda: all(one["ended_at"] for one in stack.workflows()), "everything is over")


def command(stack: Stack, workflow_id: str, verb: str, **body: Any) -> httpx2.Response:
    """Tell a workflow what to do."""
    return stack.http.post(f"{stack.workflow.url}/api/v1/workflows/{workflow_id}/{verb}", json=body)


def begin(stack: Stack, name: str, *, refused_patches: int = 0) -> str:
    """A workflow that scales a deployment of its own; the cluster refuses the first patches, so that it backs off."""
    stack.add_deployments("staging", [name])
    if refused_patches:
        match = {"verb": "patch", "resource": "deployments", "name": name}
        fault = {"match": match, "status": 503, "times": refused_patches}
        stack.http.post(f"{stack.sandbox.url}/sandbox/faults", json=fault)
    alert = {"name": "HighCPUUsage", "severity": "high", "namespace": "staging", "resource": f"deployment/{name}"}
    return str(stack.execute(alert, prefer="respond-async").json()["result"]["workflow_id"])


def steps(stack: Stack, workflow_id: str) -> dict[str, dict[str, Any]]:
    """The steps by id."""
    details = stack.workflow_detail(workflow_id)["result"]["execution_details"]
    return {step["id"]: step for step in details["steps"]}


def status(stack: Stack, workflow_id: str) -> str:
    """Where the workflow stands."""
    return str(stack.workflow_detail(workflow_id)["status"])


def until(stack: Stack, workflow_id: str, wanted: str) -> None:
    """Wait for a status."""
    eventually(lambda: status(stack, workflow_id) == wanted, f"{workflow_id} is {wanted}", within=12)


def in_back_off(stack: Stack, workflow_id: str) -> bool:
    """Whether the scaling step waits for its next attempt."""
    found = steps(stack, workflow_id)
    return found.get("scale", {}).get("status") == "waiting"


def replicas(stack: Stack, name: str) -> int:
    """What the cluster has."""
    return int(stack.deployment("staging", name)["spec"]["replicas"])


def test_pause_during_a_back_off_and_resume(stack: Stack) -> None:
    """Paused in a back-off nothing more is sent and the slot is free; resumed it goes on and completes."""
    paused = begin(stack, "paused", refused_patches=1)
    eventually(lambda: in_back_off(stack, paused), "it backs off")
    answer = command(stack, paused, "pause", reason="look first")
    assert answer.status_code == 200, answer.text
    until(stack, paused, "paused")
    assert "resume" in answer.json()["allowed"]
    neighbour = begin(stack, "neighbour")  # there is only one slot
    until(stack, neighbour, "completed")
    assert replicas(stack, "paused") == 1
    assert command(stack, paused, "resume").json()["outcome"] == "applied"
    until(stack, paused, "completed")
    assert replicas(stack, "paused") == 2


def test_cancel_of_what_waits_for_a_slot(stack: Stack) -> None:
    """A queued workflow is cancelled at once, though no slot is free; it never touched anything."""
    holder = begin(stack, "holder", refused_patches=30)
    eventually(lambda: in_back_off(stack, holder), "the slot is taken")
    queued = begin(stack, "queued")
    until(stack, queued, "queued")
    answer = command(stack, queued, "cancel", reason="false alarm")
    assert answer.status_code == 200, answer.text
    until(stack, queued, "cancelled")
    detail = stack.workflow_detail(queued)
    assert detail["reason"] == "cancel_requested"
    assert "false alarm" in detail["cause"]
    assert replicas(stack, "queued") == 1
    assert status(stack, holder) == "running"


def test_a_pause_that_waits_for_a_slot_keeps_its_place(stack: Stack) -> None:
    """A queued workflow can be paused and resumed; afterwards it runs."""
    holder = begin(stack, "keeper", refused_patches=30)
    eventually(lambda: in_back_off(stack, holder), "the slot is taken")
    queued = begin(stack, "patient")
    until(stack, queued, "queued")
    assert command(stack, queued, "pause").status_code == 200
    until(stack, queued, "paused")
    assert command(stack, queued, "resume").status_code == 200
    until(stack, queued, "queued")
    command(stack, holder, "cancel")
    until(stack, queued, "completed")


def test_skip_a_step_by_hand(stack: Stack) -> None:
    """A step that keeps failing can be skipped; the rest goes on, and what was left out is not called completed."""
    workflow_id = begin(stack, "skipped", refused_patches=30)
    eventually(lambda: in_back_off(stack, workflow_id), "it backs off")
    assert command(stack, workflow_id, "skip-step", step="nonsense").status_code == 409
    assert command(stack, workflow_id, "skip-step", step="scale", reason="done by hand").status_code == 200
    until(stack, workflow_id, "partially_completed")
    found = steps(stack, workflow_id)
    assert found["scale"]["status"] == "skipped"
    assert "done by hand" in found["scale"]["message"]
    assert replicas(stack, "skipped") == 1


def test_rollback_and_retry_of_what_is_over(stack: Stack) -> None:
    """A completed workflow is rolled back by a new execution, and retried by another; the history shows all three."""
    workflow_id = begin(stack, "back-and-forth")
    until(stack, workflow_id, "completed")
    assert replicas(stack, "back-and-forth") == 2
    assert command(stack, workflow_id, "retry").status_code == 409
    rolled = command(stack, workflow_id, "rollback", reason="it got worse")
    assert rolled.status_code == 200, rolled.text
    until(stack, workflow_id, "rolled_back")
    assert replicas(stack, "back-and-forth") == 1
    again = command(stack, workflow_id, "rollback")
    assert again.status_code == 409
    assert again.json()["allowed"] == ["retry"]
    assert command(stack, workflow_id, "retry").status_code == 200
    until(stack, workflow_id, "completed")
    assert replicas(stack, "back-and-forth") == 2
    history = stack.http.get(f"{stack.workflow.url}/api/v1/rollbacks", params={"namespace": "staging"}).json()
    assert workflow_id in {row["workflow_id"] for row in history["rollbacks"]}
    assert history["success_rate"] == 1.0
    given = stack.http.get(f"{stack.workflow.url}/api/v1/workflows/{workflow_id}/commands").json()["commands"]
    assert [(row["verb"], row["outcome"]) for row in given] == [
        ("retry", "refused"),
        ("rollback", "applied"),
        ("rollback", "refused"),
        ("retry", "applied"),
    ]


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        ("dance", {}, 400),
        ("cancel", {"step": "scale"}, 400),
        ("pause", {"undo": True}, 400),
        ("skip-step", {}, 400),
        ("cancel", {"why": "x"}, 400),
        ("resume", {}, 409),
        ("pause", {}, 409),
    ],
)
def test_a_wrong_command_is_refused(stack: Stack, verb: str, body: dict[str, Any], code: int) -> None:
    """What cannot be obeyed is a problem document: 400 for nonsense, 409 with what is allowed for a bad moment."""
    alert = {"name": "NobodyMinds", "severity": "info", "labels": {"case": f"{verb} {sorted(body)}"}}
    workflow_id = stack.execute(alert).json()["result"]["workflow_id"]
    answer = command(stack, workflow_id, verb, **body)
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("allowed" in answer.json()) == (code == 409)


def test_a_command_to_nobody(stack: Stack) -> None:
    """An unknown workflow is 404."""
    assert command(stack, "nobody", "pause").status_code == 404
