"""The specified API over real HTTP, with a real executor and a cluster whose audit log is the witness."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from importlib import resources
from typing import Any

import httpx2
import pytest

from tests.support.processes import Stack, eventually
from tests.support.replica import DISK_SPACE_HIGH, HIGH_CPU, MEMORY_LEAK

# As the specification's curl sends it, byte for byte.
CURL = (
    b'{"name":"HighCPUUsage","severity":"critical","namespace":"production","resource":"pod/web-server-123",'
    b'"labels":{"alertname":"HighCPUUsage","severity":"critical"}}'
)


# One rule beside the shipped ones: its second action cannot succeed.
DRILL = """rules:
- name: drill
  reason: to see a rollback
  when: {keywords: [drill]}
  actions:
  - id: scale
    type: scale_deployment
    on: target
    parameters: {namespace: "{namespace}", resource_name: "{name}", replicas: 3}
  - id: restart
    type: restart_pod
    needs: [scale]
    parameters: {namespace: "{namespace}", resource_name: nowhere, resource_type: deployment}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All three programs; only the rules are not the default, having one more."""
    directory = tmp_path_factory.mktemp("stack")
    shipped = resources.files("workflow_service.planning").joinpath("rules.yaml").read_text("utf-8")
    rules = directory / "rules.yaml"
    rules.write_text(shipped.replace("rules:\n", DRILL, 1), "utf-8")
    with Stack(directory, RULES_FILE=str(rules)) as running:
        yield running


def post(stack: Stack, body: bytes, **headers: str) -> httpx2.Response:
    """POST bytes as they are."""
    return stack.http.post(f"{stack.workflow.url}/api/v1/execute", content=body, headers=headers)


def get(stack: Stack, path: str, **query: Any) -> httpx2.Response:
    """GET a path of workflow-service."""
    return stack.http.get(f"{stack.workflow.url}{path}", params=query)


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem document that an answer must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    for member in ("type", "title", "detail", "instance"):
        assert document[member], member
    return document


@pytest.mark.requirement("BR-WF-001", "BR-WF-012")
def test_the_specified_curl_twice_in_a_row(stack: Stack) -> None:
    """Both answers are 200 success, and the cluster has really changed, once."""
    before = stack.deployment("production", "web-server")["spec"]["replicas"]
    answers = [post(stack, CURL, **{"Content-Type": "application/json"}) for _ in range(2)]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["status"], body["service"], body["result"]["success"]) == ("success", "workflow-service", True)
        assert body["result"]["workflow_id"]
        assert body["result"]["actions_total"] > 0
    assert answers[0].json()["result"]["workflow_id"] == answers[1].json()["result"]["workflow_id"]
    assert stack.deployment("production", "web-server")["spec"]["replicas"] == before + 1
    [change] = answers[0].json()["result"]["workflow_result"]["changes"]
    assert (change["name"], change["before"], change["after"]) == ("web-server", before, before + 1)


def test_the_other_specified_alerts(stack: Stack) -> None:
    """MemoryLeak restarts its deployment; DiskSpaceHigh, which names no object, touches none."""
    leak = stack.execute(MEMORY_LEAK).json()["result"]
    assert leak["success"] is True
    assert "api-server" in {write["name"] for write in stack.effects() if write["namespace"] == "staging"}
    before = len(stack.effects())
    disk = stack.execute(DISK_SPACE_HIGH).json()["result"]
    assert disk["success"] is True
    assert disk["actions_total"] > 0
    assert disk["workflow_result"]["changes"] == []
    assert len(stack.effects()) == before


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-8"]
)
def test_any_content_type_will_do(stack: Stack, content_type: str) -> None:
    """What counts is the body, as with Go's decoder."""
    assert post(stack, CURL, **{"Content-Type": content_type}).status_code == 200


def test_bad_bodies(stack: Stack) -> None:
    """No JSON, no object, nothing, a wrong type: 400 with the specified title; a missing name is named as such."""
    for body in (b"invalid json", b"", b"[]", b'"text"', b"null", b'{"name": 7}', b"\xff\xfe"):
        assert problem(post(stack, body), 400)["title"] == "Invalid alert payload"
    unnamed = problem(post(stack, b'{"severity":"critical"}'), 400)
    assert [broken["field"] for broken in unnamed["errors"]] == ["name"]
    assert "name" in unnamed["detail"]


def test_a_body_that_is_too_large(stack: Stack) -> None:
    """2 MB are refused with 413, whether the length is told or not."""
    large = json.dumps({**HIGH_CPU, "description": "x" * 2_000_000}).encode()
    problem(post(stack, large), 413)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_only_post_executes(stack: Stack, method: str) -> None:
    """405 in the specification's words."""
    answer = stack.http.request(method, f"{stack.workflow.url}/api/v1/execute")
    assert problem(answer, 405)["title"] == "Only POST method allowed"
    assert "POST" in answer.headers["allow"]


def test_what_does_not_exist(stack: Stack) -> None:
    """An unknown workflow and an unknown path are 404."""
    problem(get(stack, "/api/v1/workflows/unknown"), 404)
    problem(get(stack, "/api/v1/status", workflow_id="unknown"), 404)
    problem(get(stack, "/api/v1/nothing"), 404)


def test_questions_that_cannot_be_understood(stack: Stack) -> None:
    """A missing parameter, a foreign cursor, a limit out of bounds, an unknown status: 400 naming the field."""
    for path, query, field in (
        ("/api/v1/status", {}, "workflow_id"),
        ("/api/v1/workflows", {"cursor": "nonsense"}, "cursor"),
        ("/api/v1/workflows", {"cursor": "bm90IGEgdGltZXxpZA"}, "cursor"),
        ("/api/v1/workflows", {"limit": 0}, "limit"),
        ("/api/v1/workflows", {"limit": "many"}, "limit"),
        ("/api/v1/workflows", {"status": "happy"}, "status"),
    ):
        broken = problem(get(stack, path, **query), 400)
        assert field in broken["errors"][0]["field"], broken


def test_pages_follow_each_other(stack: Stack) -> None:
    """By cursor, every workflow is seen once, newest first, and the last page has no next."""
    for number in range(5):
        stack.execute({"name": "LowDisk", "severity": "info", "namespace": f"team-{number}"})
    whole = [one["workflow_id"] for one in get(stack, "/api/v1/workflows", alert_name="LowDisk").json()["workflows"]]
    assert len(whole) == 5
    seen: list[str] = []
    cursor = None
    while True:
        query = {"alert_name": "LowDisk", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = get(stack, "/api/v1/workflows", **query).json()
        assert len(page["workflows"]) <= 2
        seen += [one["workflow_id"] for one in page["workflows"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == whole


def test_a_client_that_hangs_up(stack: Stack) -> None:
    """The connection is cut right after the request: the alert becomes a finished workflow all the same."""
    stack.add_deployments("production", ["hung-up"])
    body = json.dumps({**HIGH_CPU, "resource": "deployment/hung-up"}).encode()
    head = f"POST /api/v1/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", stack.workflow.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)

    def done() -> bool:
        found = [one for one in stack.workflows() if one["target"] == "target:default/production/deployment/hung-up"]
        return bool(found) and found[0]["status"] == "completed"

    eventually(done, "the workflow completes")
    assert stack.deployment("production", "hung-up")["spec"]["replicas"] == 2


@pytest.mark.requirement("BR-WF-015")
def test_a_failure_is_rolled_back_in_the_cluster(stack: Stack) -> None:
    """Scaled, then a second action fails for good: the answer says rolled back, and the cluster is as before."""
    stack.add_deployments("production", ["drilled"])
    result = stack.execute(
        {"name": "RollbackDrill", "namespace": "production", "resource": "deployment/drilled"}
    ).json()["result"]
    assert (result["status"], result["success"]) == ("rolled_back", False)
    assert result["abort_reason"].startswith("Critical action restart failed: ")
    writes = [write for write in stack.effects() if write["name"] == "drilled"]
    assert len(writes) == 2
    assert stack.deployment("production", "drilled")["spec"]["replicas"] == 1


def test_health_and_probes(stack: Stack) -> None:
    """Healthy with the specified members; the probes answer; the metrics count what was done."""
    health = get(stack, "/health")
    assert health.status_code == 200
    body = health.json()
    assert (body["status"], body["service"], body["ai_integration"]) == ("healthy", "workflow-service", False)
    assert body["components"] == dict.fromkeys(
        ("orchestrator", "executor", "state_manager", "monitor", "rollback", "watchdog"), True
    )
    assert body["version"]
    assert body["uptime"] > 0
    assert get(stack, "/livez").status_code == get(stack, "/readyz").status_code == 200
    for path in ("/health", "/livez", "/readyz"):
        looked = stack.http.head(f"{stack.workflow.url}{path}")
        assert (looked.status_code, looked.content) == (200, b"")
        assert looked.headers["content-type"] == get(stack, path).headers["content-type"]
    assert stack.execute({"name": "ProbesAreFine", "severity": "info"}).status_code == 200
    metrics = get(stack, "/metrics").text.splitlines()
    assert "workflow_service_up 1.0" in metrics
    [counted] = [line for line in metrics if line.startswith("workflow_service_executions_total ")]
    assert float(counted.rpartition(" ")[2]) >= 1
