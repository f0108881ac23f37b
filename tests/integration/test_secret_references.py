"""Secret references stay references in plan, journal and API; the executor alone knows the value, and tells nobody."""

import base64
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.outside import Outside
from tests.support.processes import Program, Stack, eventually

pytestmark = pytest.mark.requirement("BR-WF-001")

VALUE = "Bearer never-to-be-seen-4711"
REFERENCE = {"secretRef": {"name": "hook-login", "key": "header"}}
PAGE = """\
apiVersion: workflow.kubernaut.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: page-them, version: 1.0.0}
spec:
  description: {what: calls whoever is responsible, whenToUse: always}
  match: {alertname: [Page]}
  onFailure: stop
  steps:
  - id: call
    action: call_webhook
    with:
      url: URL/hook
      payload: {alert: "{alert}"}
      headers: {Authorization: {secretRef: {name: hook-login, key: header}}}
"""


@pytest.fixture
def outside() -> Iterator[Outside]:
    """Whom the template calls."""
    outside = Outside()
    yield outside
    outside.close()


def stack_of(directory: Path, outside: Outside) -> Stack:
    """All three, with the template."""
    (directory / "templates").mkdir()
    (directory / "templates" / "page.yaml").write_text(PAGE.replace("URL", outside.url), "utf-8")
    stack = Stack(directory, TEMPLATES_DIR=str(directory / "templates"))
    stack.executor = Program(
        "executor_service",
        port=stack.executor.port,
        log=directory / "executor.log",
        environment={
            "EXECUTOR_SERVICE_PORT": str(stack.executor.port),
            "KUBECONFIG": str(directory / "kubeconfig"),
            "DATA_DIR": str(directory / "executor"),
            "WEBHOOK_ALLOWED_HOSTS": f"!http://127.0.0.1:{outside.port}",
            "READABLE_SECRETS": "production/hook-login",
            "POD_NAMESPACE": "production",
        },
    )
    return stack


def ended(stack: Stack) -> dict[str, Any]:
    """The only workflow, once it is over."""
    found = eventually(lambda: stack.ended(1), "the workflow ends")
    assert found is not None
    return stack.workflow_detail(found[0]["workflow_id"])


def keep(stack: Stack) -> None:
    """Put the secret into the cluster."""
    secret = {"metadata": {"name": "hook-login"}, "data": {"header": base64.b64encode(VALUE.encode()).decode()}}
    made = stack.http.post(f"{stack.sandbox.url}/api/v1/namespaces/production/secrets", json=secret)
    assert made.status_code == 201, made.text


def test_the_value_is_nowhere_but_where_it_is_meant_to_be(tmp_path: Path, outside: Outside) -> None:
    """The receiver gets it; databases, logs and answers of both services hold the reference alone."""
    alert = {"name": "Page", "severity": "high", "namespace": "shop"}
    with stack_of(tmp_path, outside) as stack:
        keep(stack)
        answer = stack.execute(alert)
        assert answer.status_code == 200, answer.text
        detail = ended(stack)
        about = {"workflow_id": detail["workflow_id"]}
        told = [answer.text, str(detail), stack.http.get(f"{stack.executor.url}/api/v1/audit").text]
        told += [stack.http.post(f"{stack.workflow.url}/api/v1/explain", json=about).text]
    assert detail["status"] == "completed", detail
    assert outside.headers[-1]["authorization"] == VALUE
    stored = []
    for path in sorted(tmp_path.rglob("*.sqlite")):
        with sqlite3.connect(path) as database:
            stored.append("\n".join(database.iterdump()))
    assert [text for text in stored if "hook-login" in text][1:], "both databases hold the reference"
    told += stored
    told += [path.read_text("utf-8") for path in tmp_path.glob("*.log")]
    for secret in (VALUE, VALUE.partition(" ")[2], base64.b64encode(VALUE.encode()).decode()):
        assert not [text[:80] for text in told if secret in text]


def test_a_missing_secret_ends_it_for_good(tmp_path: Path, outside: Outside) -> None:
    """No retry: the workflow fails with the executor's words."""
    with stack_of(tmp_path, outside) as stack:
        assert stack.execute({"name": "Page", "severity": "high", "namespace": "shop"}).status_code == 200
        detail = ended(stack)
    assert (detail["status"], outside.calls) == ("failed", [])
    assert "Secret production/hook-login does not exist" in str(detail)
