"""Recoveries of the whole stack over HTTP, on the sandbox's cluster: they heal, and a kill -9 costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import Stack, eventually
from tests.support.wire import Fate, Wire
from tests.support.wired_stack import NOBODY, RESTART

pytestmark = [
    pytest.mark.durability,
    pytest.mark.timeout(240),
    pytest.mark.requirement("BR-WF-001", "BR-WF-004", "BR-WF-015"),
]
MEMORY = {"namespace": "{namespace}", "resource_name": "{name}", "resource_type": "deployment", "memory": "256Mi"}
RULES: dict[str, Any] = {
    "version": 1,
    "rules": [
        {
            "name": "vain",
            "reason": "the test says so",
            "actions": [
                {"id": "prepare", "type": "increase_resources", "on": "target", "parameters": MEMORY},
                {
                    "id": "cure",
                    "type": "scale_deployment",
                    "on": "target",
                    "parameters": NOBODY,
                    "needs": ["prepare"],
                },
            ],
            "recovery": [
                {
                    "name": "previous",
                    "reason": "another revision may do",
                    "actions": [
                        {
                            "id": "back",
                            "type": "rollback_deployment",
                            "on": "target",
                            "parameters": {
                                "namespace": "{namespace}",
                                "resource_name": "{name}",
                                "revision": 99,
                            },
                        }
                    ],
                },
                {
                    "name": "restart",
                    "reason": "a restart may do",
                    "actions": [{"id": "restart", "type": "restart_pod", "on": "target", "parameters": RESTART}],
                },
            ],
        }
    ],
}
ALERT = {"name": "Trouble", "severity": "critical", "namespace": "production", "resource": "deployment/shop"}


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Between the two services."""
    with Wire() as between:
        yield between


@pytest.fixture
def stack(tmp_path: Path, wire: Wire) -> Iterator[Stack]:
    """All three programs, with a deployment in trouble."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES), "utf-8")
    rules = str(tmp_path / "rules.yaml")
    built = Stack(tmp_path, EXECUTOR_SERVICE_URL=wire.url, RULES_FILE=rules, LEASE_TTL="1s")
    wire.target = built.executor.port
    with built as running:
        running.add_deployments("production", ["shop"])
        yield running


def _healed(found: dict[str, Any]) -> None:
    """By the second option, after the first had failed as well; each thing done once."""
    recoveries = found["result"]["execution_details"]["recoveries"]
    kinds = [event["kind"] for event in found["events"]]
    assert (found["status"], found["reason"]) == ("completed", "all_steps_succeeded"), found["events"]
    assert [(one["step"], one["option"], one["outcome"]) for one in recoveries] == [
        ("cure", "previous", "planned"),
        ("recovery-1", "restart", "planned"),
    ]
    assert (kinds.count("RecoveryStarted"), kinds.count("RecoveryPlanned")) == (2, 2)


def _changes(stack: Stack) -> int:
    return sum(write["resource"] == "deployments" and write["name"] == "shop" for write in stack.effects())


def test_the_second_option_heals_on_a_cluster(stack: Stack) -> None:
    """The alert is answered with success; the cluster shows the preparation and the restart, nothing else."""
    answer = stack.execute(ALERT)
    assert answer.status_code == 200
    assert answer.json()["result"]["success"] is True, answer.text
    _healed(stack.workflow_detail(answer.json()["result"]["workflow_id"]))
    assert _changes(stack) == 2


def test_killed_while_recovering_it_goes_on_where_it_was(stack: Stack, wire: Wire) -> None:
    """Kill -9 while another way is looked for: the next drive asks again, and nothing is done twice."""
    wire.strike("order", Fate.PASS)
    wire.strike("order", Fate.HOLD)
    answer = stack.execute(ALERT, prefer="respond-async")
    workflow = answer.json()["result"]["workflow_id"]
    eventually(lambda: wire.held("order"), "the order that will fail is on its way")
    wire.strike("read", Fate.HOLD, times=1000)
    wire.deliver()
    eventually(lambda: stack.workflow_detail(workflow)["status"] == "recovering", "it looks for another way")
    stack.workflow.kill()
    wire.calm()
    wire.drop()
    stack.workflow.start("/readyz")
    eventually(lambda: stack.workflow_detail(workflow)["ended_at"], "the workflow ends")
    _healed(stack.workflow_detail(workflow))
    assert _changes(stack) == 2
