"""The example of docs/steps.md: it loads as it stands there, and runs on a sandbox cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Stack, eventually
from tests.support.replica import kinds, steps
from workflow_service.planning.rule_file import load_rules
from workflow_service.planning.step_format import STEP

PAGE = Path(__file__).parents[2] / "docs" / "steps.md"
ALERT = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production"}

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.requirement("BR-WF-002", "BR-WF-006", "BR-WF-008", "BR-WF-009", "BR-WF-010", "BR-WF-016", "BR-WF-050"),
]


def example() -> str:
    """The page's rule file."""
    return PAGE.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All three programs, with the page's rules."""
    directory = tmp_path_factory.mktemp("page")
    (directory / "rules.yaml").write_text(example(), "utf-8")
    with Stack(directory, RULES_FILE=str(directory / "rules.yaml")) as running:
        yield running


def test_the_page_names_every_key() -> None:
    """Nothing can be written into a rule file that the page does not explain."""
    text = PAGE.read_text("utf-8")
    assert [key for key in STEP["properties"] if f"| `{key}` |" not in text] == []
    assert load_rules(example()).rules[0].name == "short_of_cpu"


def test_the_example_runs(stack: Stack) -> None:
    """Every step of it does what the page says, in its order; a missing Prometheus is noted and harms nothing."""
    stack.add_deployments("production", ["page"])
    answer = stack.execute({**ALERT, "resource": "deployment/page"})
    assert answer.json()["result"]["success"] is True, answer.text
    found = stack.workflow_detail(answer.json()["result"]["workflow_id"])
    told = {name: step["status"] for name, step in steps(found).items()}
    assert told.pop("approve_scale") == "skipped"
    assert set(told) >= {"tell[0]", "tell[1]", "record/first", "record/second", "calm", "close"}
    assert set(told.values()) == {"succeeded"}
    assert stack.deployment("production", "page")["spec"]["replicas"] == 2
    [proof] = [event for event in found["events"] if event["kind"] == "StepProved" and event["step"] == "scale"]
    assert [one["held"] for one in proof["evidence"]] == [True, False]
    begun = [event["step"] for event in found["events"] if event["kind"] == "StepStarted"]
    assert begun.index("look") < begun.index("scale") < begun.index("record/first") < begun.index("close")
    assert kinds(found)[-1] == "Ended"


def test_the_example_asks_where_it_says_so(stack: Stack) -> None:
    """With the label of its condition it waits for a word; refused, nothing is changed."""
    stack.add_deployments("production", ["asked"])
    alert = {**ALERT, "resource": "deployment/asked", "labels": {"tier": "database"}}
    workflow = str(stack.execute(alert, prefer="respond-async").json()["result"]["workflow_id"])
    eventually(lambda: stack.workflow_detail(workflow)["status"] == "awaiting_approval", "it asks")
    url = f"{stack.workflow.url}/api/v1/workflows/{workflow}/reject"
    assert stack.http.post(url, json={"reason": "no"}).status_code == 200
    eventually(lambda: stack.workflow_detail(workflow)["ended_at"], "it ends")
    assert stack.workflow_detail(workflow)["status"] == "rejected"
    assert stack.deployment("production", "asked")["spec"]["replicas"] == 1
