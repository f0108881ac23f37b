"""docs/intake.md is true: its curls, run as they are written, do what it says; so does the service without a secret."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Stack
from tests.unit.test_pagerduty import a_webhook

pytestmark = [pytest.mark.requirement("BR-WF-001")]

PAGE = (Path(__file__).parents[2] / "docs" / "intake.md").read_text("utf-8")
SECRET = "of-the-subscription-of-ours"
TOOLS = [tool for tool in ("bash", "curl", "openssl") if shutil.which(tool) is None]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All three programs; PagerDuty has a secret."""
    with Stack(tmp_path_factory.mktemp("stack"), WEBHOOK_SECRETS=SECRET) as running:
        yield running


def _run(stack: Stack, script: str) -> dict[str, Any]:
    """What a script of the page prints, run against this stack."""
    here = script.replace("http://localhost:8083", stack.workflow.url).replace("curl ", "curl -s --fail-with-body ")
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "WEBHOOK_SECRETS": SECRET}
    done = subprocess.run(
        ["bash", "-ec", here], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(bool(TOOLS), reason=f"the page's curls need {', '.join(TOOLS)}")
def test_the_curls_of_the_page(stack: Stack) -> None:
    """One alert of each form is admitted, each with a workflow of its own."""
    scripts = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    answers = [_run(stack, script) for script in scripts if "/alerts " in script]
    forms = ["alertmanager", "cloudevent", "cloudevent_binary", "cloudevents_batch", "pagerduty"]
    assert [answer["form"] for answer in answers] == forms
    assert [[one["outcome"] for one in answer["alerts"]] for answer in answers] == [["admitted"]] * 5
    assert [workflow["target"] for workflow in reversed(stack.workflows())] == [
        "target:default/production/deployment/web",
        "target:default/production/deployment/api",
        "target:default/staging/deployment/api-server",
        "target:default/production/pod/db-0",
        "target:default/production/deployment/db",
    ]


def test_a_wrong_signature_is_refused(stack: Stack) -> None:
    """403, and nothing of it is kept."""
    url, before = f"{stack.workflow.url}/api/v1/alerts", len(stack.workflows())
    answer = stack.http.post(url, json=a_webhook(), headers={"X-PagerDuty-Signature": "v1=" + "0" * 64})
    assert (answer.status_code, answer.json()["title"]) == (403, "Signature refused")
    assert len(stack.workflows()) == before
    metrics = stack.http.get(f"{stack.workflow.url}/metrics").text
    assert 'wfs_deliveries_refused_total{reason="signature"} 1.0' in metrics
    assert 'wfs_deliveries_total{form="pagerduty",quarantined="true"}' not in metrics
