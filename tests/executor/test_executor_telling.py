"""Notifications over all channels, and diagnostics."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, executor_process


class Receiver:
    """A webhook that remembers what it got and answers as told."""

    def __init__(self) -> None:
        self.code = 200
        self.got: list[tuple[str, str, dict[str, Any]]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.got.append((self.path, self.headers["Idempotency-Key"], body))
                self.send_response(receiver.code)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet."""

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """One receiver for generic and Slack webhooks."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def teller(
    sandbox_cluster: Cluster, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executor]:
    """An executor with both webhooks and a token."""
    settings = {
        "NOTIFY_WEBHOOK_URL": f"{receiver.url}/hook",
        "SLACK_WEBHOOK_URL": f"{receiver.url}/slack-secret-path",
        "EXECUTOR_TOKEN": "s3cret-token",
        "SNAPSHOT_RETENTION": "1ms",
    }
    directory: Path = tmp_path_factory.mktemp("teller")
    with executor_process(directory, sandbox_cluster.kubeconfig, **settings) as executor:
        executor.http.headers["Authorization"] = "Bearer s3cret-token"
        yield executor


@pytest.mark.parametrize("action", ["notify_only", "notify_oncall", "notify_team", "log_incident"])
def test_every_channel_gets_a_notification_with_its_key(teller: Executor, receiver: Receiver, action: str) -> None:
    """Log, generic webhook and Slack; receivers can drop repeats by the key."""
    receiver.got.clear()
    result = teller.execute(action, {"message": "disk is full", "severity": "critical"}, key=f"tell-{action}")
    assert result["result"]["channels"] == ["log", "webhook", "slack"]
    assert (result["changes"], result["undo"]["available"]) == ([], False)
    (hook, slack) = receiver.got
    assert hook[:2] == ("/hook", f"tell-{action}")
    assert (hook[2]["message"], hook[2]["action"], hook[2]["key"]) == ("disk is full", action, f"tell-{action}")
    assert slack[2]["text"] == "[CRITICAL] disk is full"
    assert '"disk is full"' in teller.log.read_text()


def test_no_channel_gets_what_looks_like_a_secret(teller: Executor, receiver: Receiver) -> None:
    """An alert's text with a password is told without it: in the log, too, and as the order's reason."""
    receiver.got.clear()
    said = {"message": "login failed: password=hunter2 at postgres://app:hunter2@db", "reason": "token: hunter2"}
    alert = {"name": "Login", "resource": "api_key=hunter2"}
    order = {"action": {"id": "a1", "type": "notify_team", "parameters": said}, "alert": alert}
    assert teller.http.post("/api/v1/execute", json=order, headers={"Idempotency-Key": "hush"}).status_code in {
        200,
        202,
    }
    result = teller.finished("hush")
    assert result["status"] == "completed", result
    (hook, slack) = receiver.got
    assert "login failed: [withheld] at postgres://[withheld]@db" in slack[2]["text"]
    assert hook[2]["alert"] == {"name": "Login", "resource": "[withheld]"}
    assert "hunter2" not in f"{receiver.got}{teller.log.read_text()}"


def test_the_same_notification_is_not_sent_twice(teller: Executor, receiver: Receiver) -> None:
    """The same key answers the first result."""
    first = teller.execute("notify_only", {"message": "once"}, key="once")
    receiver.got.clear()
    assert teller.execute("notify_only", {"message": "once"}, key="once")["action_id"] == first["action_id"]
    assert receiver.got == []


def test_a_failing_webhook_is_a_transient_failure(teller: Executor, receiver: Receiver) -> None:
    """The result says which channels were reached."""
    receiver.code = 500
    result = teller.execute("notify_only", {"message": "lost"})
    receiver.code = 200
    assert (result["status"], result["error"]["class"]) == ("failed", "transient")
    assert result["result"] == {"channels": ["log"], "failed_channel": "webhook"}


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic s3cret-token", "Bearer s3cret-tokenx"])
def test_without_the_token_nothing_below_api_answers(teller: Executor, authorization: str | None) -> None:
    """401 as a problem; probes stay open; the secrets are not in the log."""
    headers = {"Authorization": authorization} if authorization else {}
    for method, path in [("GET", "/api/v1/actions"), ("POST", "/api/v1/execute"), ("GET", "/api/v1/status/x")]:
        request = teller.http.build_request(method, path)
        del request.headers["Authorization"]
        request.headers.update(headers)
        answer = teller.http.send(request)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert teller.http.get("/livez", headers={"Authorization": ""}).status_code == 200
    log = teller.log.read_text()
    assert "s3cret-token" not in log
    assert "slack-secret-path" not in log


def test_an_undo_is_offered_for_a_time_only(teller: Executor, cluster: Cluster) -> None:
    """After the retention of snapshots an undo is refused with the reason (here: one millisecond)."""
    scale = {"namespace": "production", "resource_name": "web-server", "replicas": 4}
    key = teller.execute("scale_deployment", scale)["key"]
    assert "over" in teller.by_key(key).json()["undo"]["reason"]
    refused = teller.undo(key)
    assert (refused["status"], refused["error"]["class"]) == ("refused", "permanent")
    assert cluster.get("deployments", "web-server")["spec"]["replicas"] == 4


def test_diagnostics_show_the_trouble_and_change_nothing(executor: Executor, cluster: Cluster) -> None:
    """Pods, nodes, events and owners around a target; protected namespaces may be looked at."""
    target = {"namespace": "production", "resource_name": "checkout"}
    result = executor.execute("collect_diagnostics", target)
    assert (result["status"], result["changes"]) == ("completed", []), result
    found = result["result"]
    assert found["target"] == "Deployment production/checkout"
    assert found["facts"]["crash_looping"] == 3
    assert {"name", "ready", "waiting_reason"} <= found["pods"][0].keys()
    assert found["events"]
    assert found["nodes"]
    assert executor.execute("collect_diagnostics", {"namespace": "kube-system"})["status"] == "completed"
    assert cluster.writes() == []
