"""Simulations on a sandbox cluster: nothing moves, and the later real run does what was said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.test_cli import run
from tests.support.processes import Stack, eventually
from workflow_service.domain.plan import Action, Plan, Step, plan_to_json

pytestmark = pytest.mark.requirement("BR-WF-030", "BR-WF-031")
LISTS = ("apis/apps/v1/deployments", "apis/apps/v1/statefulsets", "api/v1/pods", "api/v1/nodes", "api/v1/services")
POD = {"name": "HighCPUUsage", "severity": "critical", "namespace": "production", "resource": "pod/web-server-123"}
MEMORY = {"name": "MemoryLeak", "severity": "warning", "namespace": "staging", "resource": "deployment/api-server"}
CRASH = {
    "name": "PodCrashLooping",
    "severity": "critical",
    "namespace": "production",
    "resource": "deployment/checkout",
    "labels": {"alertname": "PodCrashLooping"},
}
NODE = {"name": "NodeNotReady", "severity": "critical", "labels": {"node": "node-2"}}
DISK = {"name": "DiskSpaceHigh", "severity": "critical", "namespace": "production"}  # nothing of it changes anything
TEMPLATE = {
    "apiVersion": "workflow.kubernaut.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "give-more", "version": "1.0.0"},
    "spec": {
        "description": {"what": "more memory, then a restart", "whenToUse": "somebody says so"},
        "parameters": {
            "type": "object",
            "required": ["namespace", "deployment"],
            "properties": {"namespace": {"type": "string"}, "deployment": {"type": "string"}},
        },
        "target": {"kind": "Deployment", "namespace": "params.namespace", "name": "params.deployment"},
        "steps": [
            {
                "id": "grow",
                "action": "increase_resources",
                "on": "target",
                "with": {
                    "namespace": "${{ params.namespace }}",
                    "resource_name": "${{ params.deployment }}",
                    "resource_type": "deployment",
                    "memory": "2Gi",
                },
            },
            {"id": "breathe", "kind": "wait", "wait": "1s", "needs": ["grow"]},
            {
                "id": "scale",
                "action": "scale_deployment",
                "needs": ["breathe"],
                "preconditions": [
                    {"expression": "observed.replicas == 2", "message": "somebody scales it already", "within": "0s"}
                ],
                "on": "target",
                "with": {
                    "namespace": "${{ params.namespace }}",
                    "resource_name": "${{ params.deployment }}",
                    "replicas": 3,
                },
            },
        ],
    },
}
ORDER = {"template": "give-more", "parameters": {"namespace": "staging", "deployment": "api-server"}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a template of its own."""
    directory = tmp_path_factory.mktemp("simulated")
    templates = directory / "templates"
    templates.mkdir()
    (templates / "give-more.yaml").write_text(yaml.safe_dump(TEMPLATE, sort_keys=False), "utf-8")
    with Stack(directory, AI_PROVIDER="none", INTAKE_COOLDOWN="0s", TEMPLATES_DIR=str(templates)) as running:
        yield running


def simulate(stack: Stack, body: Mapping[str, Any]) -> dict[str, Any]:
    """`curl /api/v1/simulate`."""
    answer = stack.http.post(f"{stack.workflow.url}/api/v1/simulate", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def asked(stack: Stack) -> list[dict[str, Any]]:
    """Everything that the executor has sent to the cluster and that is no read."""
    writes = stack.http.get(f"{stack.sandbox.url}/sandbox/audit").json()["writes"]
    return [one for one in writes if one["user_agent"].startswith("executor-service")]


def versions(stack: Stack) -> dict[str, str]:
    """The resourceVersion of every object that somebody cares for, and of each list whole."""
    found = {}
    for path in LISTS:
        listed = stack.http.get(f"{stack.sandbox.url}/{path}").json()
        found[path] = listed["metadata"]["resourceVersion"]
        found |= {one["metadata"]["uid"]: one["metadata"]["resourceVersion"] for one in listed["items"]}
    return found


def calm(stack: Stack) -> dict[str, str]:
    """The versions once no controller moves anything any more: those of a crashing pod still count its restarts."""
    seen: list[dict[str, str]] = [{}]

    def still() -> dict[str, str] | None:
        before, now = seen[-1], versions(stack)
        seen.append(now)
        return now if now == before else None

    return eventually(still, "the cluster is calm") or {}


BODIES = [{"alert": POD}, {"alert": MEMORY}, {"alert": CRASH}, {"alert": NODE}, {"alert": DISK}, ORDER]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.get("template") or body["alert"]["name"])
def test_nothing_moves(stack: Stack, body: dict[str, Any]) -> None:
    """The resourceVersion of no list changes, the cluster's audit shows dry runs only, and nothing is kept."""
    sent, before, kept = len(asked(stack)), calm(stack), len(stack.workflows())
    found = simulate(stack, {**body, "advise": False})
    assert found["complete"], found["stopped"]
    assert versions(stack) == before
    assert all(one["dry_run"] for one in asked(stack)[sent:])
    tried = [step for step in found["steps"] if step["changes"] and step["begins_after"] is not None]
    assert bool(tried) == (body != {"alert": DISK})
    assert all(step["dry_run"]["changes"] for step in tried if step["dry_run"]["status"] == "completed")
    assert len(stack.workflows()) == kept
    again = simulate(stack, {**body, "advise": False})
    assert [one["decision"] for one in again["decisions"]] == [one["decision"] for one in found["decisions"]]


def began(found: Mapping[str, Any]) -> list[str]:
    """The steps whose action was sent, in order."""
    return [one["step"] for one in found["events"] if one["kind"] == "StepStarted"]


def fields(changes: list[dict[str, Any]]) -> list[str]:
    """What of changes is the same each time: not when and by whom something was restarted."""
    told = (
        {name: one.get(name) for name in ("kind", "namespace", "name", "field", "before", "after")} for one in changes
    )
    return sorted(json.dumps(one) for one in told if "restarted" not in str(one["field"]))


@pytest.mark.parametrize("body", [{"alert": POD}, {"alert": MEMORY}, ORDER], ids=["scale", "restart", "ordered"])
def test_the_real_run_does_what_was_said(stack: Stack, body: dict[str, Any]) -> None:
    """The same plan, the same steps in the same order with the same parameters and diffs, and the same end."""
    said = simulate(stack, body)
    assert said["status"] == "completed", said["cause"]
    made = stack.http.post(f"{stack.workflow.url}/api/v1/workflows", json=body)
    assert made.status_code == 201, made.text
    workflow = made.json()["workflow_id"]
    eventually(lambda: stack.workflow_detail(workflow)["ended_at"], "the workflow ends")
    done = stack.workflow_detail(workflow)
    details = done["result"]["execution_details"]
    assert (done["status"], done["reason"]) == (said["status"], said["reason"]), done["cause"]
    assert details["plan"]["hash"] == said["plan_hash"]
    assert began(done) == [one["step"] for one in said["decisions"] if one["decision"] == "StartStep"]
    real = {step["id"]: step for step in details["steps"]}
    for step in said["steps"]:
        assert real[step["id"]]["status"] == step["status"]
        if step["dry_run"] is not None:
            assert fields(real[step["id"]]["changes"]) == fields(step["dry_run"]["changes"])


def test_what_cannot_be_known_is_said(stack: Stack) -> None:
    """A precondition after a change is not guessed at; it is told as it stands now, and the rest goes on."""
    found = simulate(stack, {**ORDER, "parameters": {"namespace": "production", "deployment": "web-server"}})
    scale = next(step for step in found["steps"] if step["id"] == "scale")
    [condition] = scale["conditions"]
    assert condition["held"] is None
    assert "grow" in condition["trouble"]
    assert not found["certain"]
    assert ("scale", "precondition observed.replicas == 2") in [(one["step"], one["what"]) for one in found["unknown"]]
    assert scale["dry_run"]["status"] == "completed"


def test_a_workflow_is_simulated_again(stack: Stack) -> None:
    """By its id: the plan that it has, whose admission is over."""
    workflow = stack.workflows()[0]["workflow_id"]
    found = simulate(stack, {"workflow_id": workflow})
    hash_ = stack.workflow_detail(workflow)["result"]["execution_details"]["plan"]["hash"]
    assert (found["plan_hash"], found["admission"]) == (hash_, None)


def test_people_ask_from_the_command_line(stack: Stack, tmp_path: Path) -> None:
    """A table with the diff, or the answer itself; exit code 4 when it would not end well, 1 for what is no JSON."""
    file = tmp_path / "alert.json"
    file.write_text(json.dumps(POD))
    told = run("simulate", str(file), WORKFLOW_SERVICE_URL=stack.workflow.url)
    assert told.returncode == 0, told.stderr
    assert "/spec/replicas" in told.stdout
    assert "would end completed" in told.stdout
    answer = run("simulate", str(file), "-o", "json", "--no-advise", WORKFLOW_SERVICE_URL=stack.workflow.url)
    assert json.loads(answer.stdout)["status"] == "completed"
    scale = {"namespace": "production", "resource_name": "nobody", "replicas": 2}
    plan = Plan((Step("cure", Action("scale_deployment", scale)),), "the test says so", "template")
    file.write_text(json.dumps({"plan": plan_to_json(plan)}))
    failed = run("simulate", str(file), WORKFLOW_SERVICE_URL=stack.workflow.url)
    assert failed.returncode == 4, (failed.stdout, failed.stderr)
    file.write_text("{")
    assert run("simulate", str(file), WORKFLOW_SERVICE_URL=stack.workflow.url).returncode == 1


def test_a_plan_is_simulated(stack: Stack) -> None:
    """In its stored form, as an earlier simulation gave it."""
    given = simulate(stack, {"alert": MEMORY})["plan"]
    assert simulate(stack, {"alert": MEMORY, "plan": given})["status"] == "completed"
