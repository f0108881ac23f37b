"""Back-tests of real workflows, beside the service that made them, on either database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.test_cli import run
from tests.support.replica import HIGH_CPU, Running, act, replica
from tests.support.scripted_executor import ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

pytestmark = [pytest.mark.requirement("BR-WF-005"), pytest.mark.timeout(180)]
NAMES = ("web", "api", "shop")


@pytest.fixture(params=["sqlite", "postgresql"])
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Running, dict[str, str]]]:
    """A service with three workflows, one of which has ended badly; and the settings of its database."""
    environment = {"DATA_DIR": str(tmp_path / "data"), "RULES_FILE": written(tmp_path, "rules", rules(act("cure")))}
    if request.param == "postgresql":
        environment["DATABASE_URL"] = str(request.getfixturevalue("postgresql_url"))
    executor = ScriptedExecutor()
    executor.script("cure", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, through=lambda one: one, plan=None, **environment) as running:
        for name in NAMES:
            await running.result({**HIGH_CPU, "resource": f"deployment/{name}"})
        yield running, environment


def rules(*actions: dict[str, Any]) -> dict[str, Any]:
    """A rule file about everything; its actions touch the alert's target."""
    whole = [{**one, "on": "target"} for one in actions]
    return {"version": 1, "rules": [{"name": "test", "reason": "the test says so", "actions": whole}]}


def written(directory: Path, name: str, document: Any) -> str:
    """The path of a YAML file."""
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return str(path)


async def compared(environment: dict[str, str], *arguments: str, code: int) -> Any:
    """`workflow-service backtest`, its JSON when it has compared something."""
    done = await asyncio.to_thread(run, "backtest", *arguments, "-o", "json", **environment)
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout) if code in {0, 4} else done.stderr


async def test_what_a_version_would_change(served: tuple[Running, dict[str, str]], tmp_path: Path) -> None:
    """Nothing by the same rules; a policy's word and approvals; a rule's actions and risk; how those had ended."""
    running, environment = served
    before = await running.http.get("/api/v1/workflows")
    same = await compared(environment, "--rules", environment["RULES_FILE"], code=0)
    assert (same["alerts"], same["would_change"], same["not_known"]["targets"]) == (3, 0, 0)

    policy = written(tmp_path, "policy", {"version": 1, "autonomy": [{"level": "approve"}]})
    stricter = await compared(environment, "--policy", policy, code=4)
    assert stricter["differs"] == {"word": 3, "approvals": 3}
    assert [one["after"]["word"] for one in stricter["changed"]] == ["needs_approval"] * 3
    assert stricter["choices"] == [
        {"before": "test", "after": "test", "alerts": 3, "badly": 1, "well": 2, "other": 0},
    ]

    other = written(tmp_path, "other", rules(act("see", "look")))
    milder = await compared(environment, "--rules", other, "--limit", "2", code=4)
    assert (milder["alerts"], milder["bounded"]) == (2, True)
    assert [(one["before"]["risk"], one["after"]["risk"]) for one in milder["changed"]] == [("high", None)] * 2
    assert milder["changed"][0]["after"]["actions"] == ["look Deployment production/shop"]
    assert milder["changed"][0]["target_known"]
    assert (await running.http.get("/api/v1/workflows")).json() == before.json()


TEMPLATE = {
    "apiVersion": "workflow.kubernaut.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "calm-down", "version": "1.0.0", "lifecycle": "draft"},
    "spec": {
        "description": {"what": "one replica more", "whenToUse": "it is busy"},
        "match": {"alertname": ["HighCPUUsage"], "owners": ["Deployment"]},
        "parameters": {
            "type": "object",
            "required": ["replicas"],
            "properties": {"replicas": {"type": "integer"}},
        },
        "derive": {"replicas": "int(owner.facts.replicas) + 1"},
        "steps": [
            {
                "id": "scale",
                "action": "scale_deployment",
                "on": "owner",
                "with": {
                    "namespace": "{namespace}",
                    "resource_name": "{name}",
                    "replicas": "${{ params.replicas }}",
                },
            }
        ],
    },
}


async def test_a_template_is_tried_with_what_was_seen_then(
    served: tuple[Running, dict[str, str]], tmp_path: Path
) -> None:
    """A draft counts as active; its parameters are derived from what was observed when the workflow was planned."""
    _, environment = served
    found = await compared(environment, "--template", written(tmp_path, "calm-down", TEMPLATE), code=4)
    assert found["would_change"] == 3
    assert {one["after"]["rule"] for one in found["changed"]} == {"calm-down@1.0.0"}
    assert found["choices"][0]["badly"] == 1
    table = await asyncio.to_thread(
        run, "backtest", "--template", str(tmp_path / "calm-down.yaml"), "--since", "1h", **environment
    )
    assert table.returncode == 4
    assert "3 of 3 alerts" in table.stdout
    assert "calm-down@1.0.0" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "nothing is tried"),
        (("--policy", "broken.yaml"), 1, "plan_size"),
        (("--template", "broken.yaml"), 1, "broken.yaml"),
        (("--template", "unknown.yaml"), 1, "there is no scale_moon"),
        (("--rules", "broken.yaml"), 1, ""),
        (("--rules", "rules.yaml", "--since", "yesterday"), 2, "yesterday"),
        (("--rules", "rules.yaml"), 1, "the database cannot be used"),
    ],
)
def test_what_cannot_be_tested(tmp_path: Path, arguments: tuple[str, ...], code: int, told: str) -> None:
    """A flaw of a file with its field, a wrong command line, a database that is not there; never a traceback."""
    written(tmp_path, "broken", {"version": 1, "plan_size": "many"})
    written(tmp_path, "rules", rules(act("cure")))
    unknown = json.loads(json.dumps(TEMPLATE).replace("scale_deployment", "scale_moon"))
    written(tmp_path, "unknown", unknown)
    paths = [str(tmp_path / one) if one.endswith(".yaml") else one for one in arguments]
    done = run("backtest", *paths, DATA_DIR=str(tmp_path / "nothing"))
    assert done.returncode == code, (done.stdout, done.stderr)
    assert told in done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "nothing").exists()
