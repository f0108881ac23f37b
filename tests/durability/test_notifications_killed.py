"""kill -9 between the commit of an end and its delivery: after the restart it is told under the same id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import postgres
from tests.support.processes import Stack, eventually
from tests.support.sinks import HttpSink, http_sink
from tests.support.two_replicas import Two

pytestmark = [pytest.mark.durability, pytest.mark.timeout(240), pytest.mark.requirement("BR-WF-004", "BR-WF-005")]
SECRET = "the-secret-of-the-webhooks-is-long"


def hook(sink: HttpSink) -> dict[str, str]:
    """Settings that tell the sink."""
    return {"NOTIFY_WEBHOOK_URL": f"{sink.url}/hook", "NOTIFY_WEBHOOK_SECRET": SECRET}


def fail(stack: Stack, name: str) -> str:
    """A workflow that is cancelled before it begins, and so ends badly; its id."""
    alert = {"name": "HighCPUUsage", "severity": "high", "namespace": "staging", "resource": f"deployment/{name}"}
    made = stack.http.post(f"{stack.workflow.url}/api/v1/workflows", json={"alert": alert, "start": False})
    assert made.status_code == 201, made.text
    workflow = str(made.json()["workflow_id"])
    answer = stack.http.post(f"{stack.workflow.url}/api/v1/workflows/{workflow}/cancel", json={"reason": "no"})
    assert answer.status_code in {200, 202}, answer.text
    return workflow


def told(stack: Stack, url: str) -> list[dict[str, Any]]:
    """The list of notifications."""
    answer = stack.http.get(f"{url}/api/v1/notifications")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["notifications"])


def test_what_was_committed_is_told_after_a_kill(tmp_path: Path) -> None:
    """The receiver is broken when the workflow ends; the replica dies; the next one tells it, under the same id."""
    with http_sink() as sink, Stack(tmp_path, **hook(sink)) as stack:
        sink.answers = [503] * 1000
        workflow = fail(stack, "nowhere")
        eventually(lambda: sink.got, "the receiver has refused it")
        stack.workflow.kill()
        (row,) = {one.headers["webhook-id"] for one in sink.got}
        sink.answers = []
        before = len(sink.got)
        stack.workflow.start("/readyz")
        eventually(lambda: sink.got[before:], "it is told again")
        eventually(lambda: told(stack, stack.workflow.url)[0]["status"] == "delivered", "and known to be told")
        (found,) = told(stack, stack.workflow.url)
    assert {one.headers["webhook-id"] for one in sink.got} == {row} == {found["notification_id"]}
    assert len(sink.got) == before + 1
    assert json.loads(sink.got[-1].body)["data"]["workflow_id"] == workflow == found["workflow_id"]


def test_two_replicas_tell_each_end_once(tmp_path: Path) -> None:
    """Twenty ends on one PostgreSQL, two replicas that look: twenty messages with twenty ids."""
    with http_sink() as sink, postgres() as server, Two(tmp_path, server.database(), **hook(sink)) as two:
        for number in range(20):
            fail(two, f"nowhere-{number}")
        eventually(lambda: len(sink.got) >= 20, "all are told")
        eventually(lambda: all(one["status"] == "delivered" for one in told(two, two.other.url)), "and known to be")
        rows = told(two, two.other.url)
    ids = [one.headers["webhook-id"] for one in sink.got]
    assert (len(ids), len(set(ids)), len(rows)) == (20, 20, 20)
