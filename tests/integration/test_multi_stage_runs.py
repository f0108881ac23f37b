"""Upstream's reference cases of its multi-stage answer, converted and run on a real executor and a sandbox cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Stack, free_port
from tests.support.replica import HIGH_CPU, kinds, replica, steps
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.domain.catalogue import catalogue_from_wire
from workflow_service.domain.plan import Plan
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.multi_stage import convert

pytestmark = pytest.mark.requirement("BR-WF-017", "BR-WF-018", "BR-WF-020", "BR-WF-021", "BR-WF-023", "BR-WF-024")
NOBODY = {"namespace": "production", "resource_name": "nobody"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sandbox cluster and an executor; who drives is the test's own replica."""
    stack = Stack(tmp_path_factory.mktemp("cluster"))
    stack.sandbox.start("/version")
    stack.executor.start("/readyz")
    yield stack
    stack.http.close()
    for program in (stack.executor, stack.sandbox):
        program.kill()


def offered(cluster: Stack) -> dict[str, Any]:
    """The executor's catalogue as it answers it."""
    return dict(cluster.http.get(f"{cluster.executor.url}/api/v1/actions").json())


def plan_of(cluster: Stack, answer: dict[str, Any]) -> Plan:
    """The plan of an answer, against the catalogue that the executor offers."""
    catalogue = catalogue_from_wire(offered(cluster))
    return convert(answer, catalogue=catalogue, limits=PlanLimits(), cluster="default").plan


async def run(directory: Path, cluster: Stack, answer: dict[str, Any]) -> dict[str, Any]:
    """What becomes of an alert whose plan is the answer's, and as trusted as a template's."""
    plan = replace(plan_of(cluster, answer), creation_method="template")
    url = {"EXECUTOR_SERVICE_URL": cluster.executor.url}
    async with replica(directory, ScriptedExecutor(), through=lambda _: None, plan=plan, **url) as running:
        return await running.ended(await running.begin(HIGH_CPU))


def about(cluster: Stack, name: str) -> dict[str, Any]:
    """The parameters that name a new deployment of one replica."""
    cluster.add_deployments("production", [name])
    return {"namespace": "production", "resource_name": name}


async def test_if_primary_fails(tmp_path: Path, cluster: Stack) -> None:
    """restart_pod fails, so scale_deployment to 3 takes its place; the criterion is seen to hold at the end."""
    web = about(cluster, "fails")
    found = await run(
        tmp_path,
        cluster,
        {
            "primary_action": {"action": "restart_pod", "parameters": NOBODY, "execution_order": 1},
            "secondary_actions": [
                {
                    "action": "scale_deployment",
                    "parameters": {**web, "replicas": 3},
                    "execution_order": 2,
                    "condition": "if_primary_fails",
                    "timeout": "5m",
                }
            ],
        },
    )
    assert (found["status"], found["reason"]) == ("completed", "all_steps_succeeded")
    assert steps(found)["primary"]["status"] == "failed"
    assert steps(found)["secondary_1"]["status"] == "succeeded"
    assert cluster.deployment("production", "fails")["spec"]["replicas"] == 3


async def test_after_primary(tmp_path: Path, cluster: Stack) -> None:
    """A change of configuration, then restart_deployment once it is done; parameters arrive as they were given."""
    web = about(cluster, "after")
    found = await run(
        tmp_path,
        cluster,
        {
            "primary_action": {
                "action": "increase_resources",
                "parameters": {**web, "resource_type": "deployment", "memory": "256Mi"},
                "execution_order": 1,
            },
            "secondary_actions": [
                {
                    "action": "restart_deployment",
                    "parameters": web,
                    "execution_order": 2,
                    "condition": "after_primary",
                    "prerequisites": ["increase_resources"],
                }
            ],
            "monitoring_plan": {
                "success_criteria": ["all_replicas_ready", "no_crashloop_pods"],
                "monitoring_duration": "30s",
                "check_interval": "1s",
            },
        },
    )
    assert found["status"] == "completed", found["events"]
    order = [event["step"] for event in found["events"] if event["kind"] in {"StepStarted", "StepProved"}]
    assert order == ["primary", "secondary_1", "outcome", "monitor"]
    template = cluster.deployment("production", "after")["spec"]["template"]
    assert "256Mi" in str(template["spec"]["containers"][0]["resources"])
    assert "kubernaut.io/restarted-by" in template["metadata"]["annotations"]
    assert "Verifying" in kinds(found)


async def test_parallel_with_primary(tmp_path: Path, cluster: Stack) -> None:
    """scale_deployment (120 s) and collect_diagnostics (30 s) are both under way before either ends."""
    web = about(cluster, "beside")
    found = await run(
        tmp_path,
        cluster,
        {
            "primary_action": {
                "action": "scale_deployment",
                "parameters": {**web, "replicas": 2},
                "execution_order": 1,
                "timeout": "120s",
            },
            "secondary_actions": [
                {
                    "action": "collect_diagnostics",
                    "parameters": web,
                    "execution_order": 1,
                    "condition": "parallel_with_primary",
                    "timeout": "30s",
                }
            ],
        },
    )
    assert found["status"] == "completed", found["events"]
    told = [event["kind"] for event in found["events"] if event.get("step")]
    assert told[:2] == ["StepStarted", "StepStarted"]
    assert cluster.deployment("production", "beside")["spec"]["replicas"] == 2


async def test_a_trigger_at_the_end_rolls_back(tmp_path: Path, cluster: Stack) -> None:
    """What the answer calls a reason to roll back is so at the end: the change is undone in the cluster."""
    web = about(cluster, "trigger")
    answer = {
        "primary_action": {"action": "scale_deployment", "parameters": {**web, "replicas": 2}},
        "monitoring_plan": {"monitoring_duration": "1s", "check_interval": "200ms"},
        "rollback_plan": {"rollback_triggers": ["ready_replicas > 1"]},
    }
    found = await run(tmp_path, cluster, answer)
    assert (found["status"], found["rollback"]) == ("rolled_back", "done")
    assert "rollback trigger: ready_replicas > 1" in found["cause"]
    assert cluster.deployment("production", "trigger")["spec"]["replicas"] == 1


# --- the command that shows it


def command(*arguments: str, text: str, executor: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
    """`workflow-service plan convert -`."""
    return subprocess.run(
        [sys.executable, "-m", "workflow_service", "plan", "convert", "-", *arguments],
        env={"EXECUTOR_SERVICE_URL": executor},
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_command_shows_plan_hash_and_notes(tmp_path: Path, cluster: Stack) -> None:
    """JSON on stdout, exit code 0; the same plan as the engine would be given."""
    (tmp_path / "actions.json").write_text(json.dumps(offered(cluster)))
    answer = {
        "primary_action": {"action": "scale_deployment", "parameters": {**NOBODY, "replicas": 3}},
        "monitoring_plan": {"success_criteria": ["response_time < 1s"]},
    }
    shown = command("--catalogue", str(tmp_path / "actions.json"), text=json.dumps(answer))
    assert (shown.returncode, shown.stderr) == (0, "")
    document = json.loads(shown.stdout)
    assert document["hash"] == plan_of(cluster, answer).hash
    assert [note["field"] for note in document["notes"]] == ["monitoring_plan.success_criteria.0"]
    assert document["plan"]["steps"][0]["id"] == "primary"


def test_the_command_names_every_problem(tmp_path: Path, cluster: Stack) -> None:
    """Upstream's own second case asks for what our executor does not offer: a line each, exit code 1, no traceback."""
    (tmp_path / "actions.json").write_text(json.dumps(offered(cluster)))
    answer = {
        "primary_action": {"action": "update_configmap", "parameters": {}},
        "secondary_actions": [{"action": "enable_monitoring", "parameters": {}, "condition": "parallel_with_primary"}],
    }
    shown = command("--catalogue", str(tmp_path / "actions.json"), text=json.dumps(answer))
    assert (shown.returncode, shown.stdout) == (1, "")
    first, second = shown.stderr.splitlines()
    assert first.startswith("primary_action.action: 'update_configmap' is not offered")
    assert second.startswith("secondary_actions.0.action: 'enable_monitoring' is not offered")


@pytest.mark.parametrize(
    ("text", "says"), [("{", "is not JSON"), ("[" * 100_000, "is not JSON"), ("[]", "breaks the format")]
)
def test_the_command_refuses_nonsense_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    """Whatever is in the file."""
    (tmp_path / "actions.json").write_text('{"actions": []}')
    shown = command("--catalogue", str(tmp_path / "actions.json"), text=text)
    [line] = shown.stderr.splitlines()
    assert (shown.returncode, shown.stdout) == (1, "")
    assert says in line


def test_the_command_asks_the_executor_or_says_that_it_cannot(tmp_path: Path) -> None:
    """Without --catalogue the executor of the settings is asked; one line when it is away."""
    executor = f"http://127.0.0.1:{free_port()}"
    shown = command(text="{}", executor=executor)
    [line] = shown.stderr.splitlines()
    assert shown.returncode == 1
    assert line.startswith(f"cannot convert: executor at {executor} cannot be reached")
