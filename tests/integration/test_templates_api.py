"""Templates on one replica: loaded from files, kept, listed, ordered by hand, and read again when they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import DEADLINE, Running, replica
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.domain.errors import Rejected
from workflow_service.planning.template_schema import PATH, SCHEMA

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-002", "BR-WF-026")

LIST = ("get", "/api/v1/templates")
DETAIL = ("get", "/api/v1/templates/{name}/{version}")
ORDER = ("post", "/api/v1/workflows")
TOUCH = """\
apiVersion: workflow.kubernaut.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: touch-it, version: 1.0.0}
spec:
  description: {what: touches a Deployment, whenToUse: it feels alone, whenNotToUse: it is shy}
  match: {alertname: [Lonely]}
  parameters:
    type: object
    required: [namespace, deployment]
    properties:
      namespace: {type: string}
      deployment: {type: string, pattern: "^[a-z-]+$"}
      times: {type: integer, minimum: 1, default: 1}
  derive: {namespace: alert.namespace, deployment: target.name}
  target: {kind: Deployment, namespace: params.namespace, name: params.deployment}
  steps:
  - {id: touch, action: touch, with: {name: "${{ params.deployment }}", times: "${{ params.times }}"}}
"""
LONELY = {"name": "Lonely", "severity": "high", "namespace": "production", "resource": "deployment/web"}


def folder(directory: Path, **files: str) -> str:
    """A directory with these files."""
    where = directory / "templates"
    where.mkdir(exist_ok=True)
    for name, text in files.items():
        (where / f"{name}.yaml").write_text(text, encoding="utf-8")
    return str(where)


async def templates(running: Running) -> dict[str, Any]:
    """What is listed."""
    answer = await running.http.get("/api/v1/templates")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def listed(running: Running, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """What is listed as soon as `holds` of it."""
    until = time.monotonic() + DEADLINE
    while not holds(found := await templates(running)):
        assert time.monotonic() < until, found
        await asyncio.sleep(0.05)
    return found


def matching(found: dict[str, Any]) -> list[tuple[str, bool]]:
    """The versions that were ever loaded, each with whether alerts may lead to it here by now."""
    return [(one["version"], one["matching"]) for one in found["templates"] if one["name"] == "touch-it"]


def troubled(found: dict[str, Any]) -> set[str]:
    """The files that something is wrong with."""
    return {one["file"] for one in found["trouble"]}


async def test_templates_are_kept_listed_and_shown(tmp_path: Path) -> None:
    """Those of the directory and those that are shipped, each with its digest; the format is served to anybody."""
    async with replica(tmp_path, ScriptedExecutor(), TEMPLATES_DIR=folder(tmp_path, a=TOUCH)) as running:
        document = await document_of(running)
        answer = await running.http.get("/api/v1/templates")
        holds(document, LIST, answer)
        found = {(one["name"], one["version"]): one for one in answer.json()["templates"]}
        assert len(found) > 1, "none is shipped"
        mine = found["touch-it", "1.0.0"]
        assert (mine["lifecycle"], mine["matching"], mine["alertnames"]) == ("active", True, ["Lonely"])
        one = await running.http.get("/api/v1/templates/touch-it/1.0.0")
        holds(document, DETAIL, one)
        assert (one.json()["body"], one.json()["digest"]) == (TOUCH, mine["digest"])
        for path, code in (("touch-it/1.0.1", 404), ("Touch/1.0.0", 400), ("touch-it/1", 400)):
            refused = await running.http.get(f"/api/v1/templates/{path}")
            holds(document, DETAIL, refused)
            assert refused.status_code == code
        assert (await running.http.get(PATH)).json() == SCHEMA


async def test_an_alert_is_planned_by_the_template_that_speaks_of_it(tmp_path: Path) -> None:
    """The plan names version and digest, its action has the parameters, and without it the rules go on as before."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, TEMPLATES_DIR=folder(tmp_path, a=TOUCH)) as running:
        result = await running.result(LONELY)
        plan = result["execution_details"]["plan"]
        assert (plan["metadata"]["creation_method"], plan["rule"]) == ("template", "touch-it@1.0.0")
        assert plan["metadata"]["template"]["digest"].startswith("sha256:")
        other = await running.result({**LONELY, "name": "Odd", "resource": "deployment/api"})
        assert other["execution_details"]["plan"]["metadata"]["creation_method"] == "fallback"
    assert executor.orders("touch")[0].parameters == {"name": "web", "times": 1}


async def test_a_template_can_be_ordered(tmp_path: Path) -> None:
    """In two phases where that is wanted; the plan has what was ordered, whatever alerts would lead to."""
    executor = ScriptedExecutor()
    body = {"template": "touch-it", "parameters": {"namespace": "staging", "deployment": "api", "times": 3}}
    async with replica(tmp_path, executor, TEMPLATES_DIR=folder(tmp_path, a=TOUCH)) as running:
        document = await document_of(running)
        answer = await running.http.post("/api/v1/workflows", json={**body, "start": False})
        holds(document, ORDER, answer)
        assert answer.status_code == 201, answer.text
        workflow = answer.json()["workflow_id"]
        await running.until(workflow, lambda found: found["status"] == "awaiting_approval", "it waits to be started")
        assert executor.orders("touch") == []
        await running.http.post(f"/api/v1/workflows/{workflow}/start", json={})
        ended = await running.ended(workflow)
        assert (ended["status"], ended["result"]["execution_details"]["plan"]["rule"]) == (
            "completed",
            "touch-it@1.0.0",
        )
        assert ended["result"]["execution_details"]["plan"]["metadata"]["template"]["sources"]["times"] == "order"
    assert executor.orders("touch")[0].parameters == {"name": "api", "times": 3}


@pytest.mark.parametrize(
    ("code", "body", "field"),
    [
        (422, {"template": "nobody"}, "template"),
        (422, {"template": "touch-it@9.9.9"}, "template"),
        (400, {"template": 7}, "template"),
        (400, {"template": "touch-it", "parameters": []}, "parameters"),
        (422, {"template": "touch-it"}, "parameters"),
        (422, {"template": "touch-it", "parameters": {"namespace": "a", "deployment": "B!"}}, "parameters.deployment"),
        (422, {"template": "touch-it", "parameters": {"namespace": "a", "deployment": "b", "x": 1}}, "parameters"),
        (422, {"template": "touch-it", "parameters": {"namespace": "A B", "deployment": "b"}}, "parameters"),
        (400, {"template": "touch-it", "alert": LONELY}, "alert"),
    ],
)
async def test_an_order_that_is_wrong_is_refused(tmp_path: Path, code: int, body: dict[str, Any], field: str) -> None:
    """400 for what has no such form, 422 for what no template takes, with the field; nothing is stored."""
    async with replica(tmp_path, ScriptedExecutor(), TEMPLATES_DIR=folder(tmp_path, a=TOUCH)) as running:
        answer = await running.http.post("/api/v1/workflows", json=body)
        assert answer.status_code == code, answer.text
        assert answer.json()["errors"][0]["field"] == field
        assert (await running.http.get("/api/v1/workflows")).json()["workflows"] == []


async def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    """A new version takes over; a broken set or a changed version is told and changes nothing; back is back."""
    where = Path(folder(tmp_path, a=TOUCH))
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, TEMPLATES_DIR=str(where)) as running:
        newer = TOUCH.replace("version: 1.0.0", "version: 1.1.0").replace("default: 1", "default: 2")
        (where / "b.yaml").write_text(newer, encoding="utf-8")
        await listed(running, lambda found: ("1.1.0", True) in matching(found))
        assert (await running.result(LONELY))["execution_details"]["plan"]["rule"] == "touch-it@1.1.0"

        (where / "b.yaml").write_text(newer.replace("timeout", "timout").replace("steps:", "stps:"), encoding="utf-8")
        told = await listed(running, lambda found: "stps" in str(found["trouble"]))
        assert (told["trouble"][0]["file"], told["trouble"][0]["line"]) == ("b.yaml", 16)
        other = {**LONELY, "resource": "deployment/api"}
        assert (await running.result(other))["execution_details"]["plan"]["rule"] == "touch-it@1.1.0"

        (where / "b.yaml").write_text(newer.replace("default: 2", "default: 3"), encoding="utf-8")
        changed = await listed(running, lambda found: "loaded before" in str(found["trouble"]))
        assert "-      times: {type: integer, minimum: 1, default: 2}" in changed["trouble"][0]["rule"]

        (where / "b.yaml").unlink()
        back = await listed(running, lambda found: "b.yaml" not in troubled(found))
        versions = {one["version"]: one["lifecycle"] for one in back["templates"] if one["name"] == "touch-it"}
        assert versions == {"1.0.0": "active", "1.1.0": None}
        third = {**LONELY, "resource": "deployment/third"}
        assert (await running.result(third))["execution_details"]["plan"]["rule"] == "touch-it@1.0.0"
        said = [entry for entry in running.log if entry["event"] == "templates have changed"]
        assert ["is new" in said[0]["what"], "default: 2" in said[0]["what"], said[-1]["what"]] == [
            True,
            True,
            "touch-it@1.1.0 is gone",
        ]


async def test_an_action_that_is_not_known_is_told(tmp_path: Path) -> None:
    """It is in use, since an executor may offer it, with its place in `trouble` and in the log; flaws come and go."""
    where = Path(folder(tmp_path, a=TOUCH))
    async with replica(tmp_path, ScriptedExecutor(), TEMPLATES_DIR=str(where)) as running:
        [told] = (await templates(running))["trouble"]
        assert (told["file"], told["field"], told["value"]) == ("a.yaml", "spec.steps.0.action", "touch")
        assert [entry["event"] for entry in running.log if "not known here" in entry["event"]]
        (tmp_path / "secret").write_text("hunter2", encoding="utf-8")
        (where / "leak.yaml").symlink_to(tmp_path / "secret")
        leaking = await listed(running, lambda found: "leak.yaml" in troubled(found))
        assert "hunter2" not in f"{leaking}{running.log}"
        (where / "leak.yaml").unlink()
        await listed(running, lambda found: found["trouble"] == [told])


async def test_a_bad_set_refuses_the_start(tmp_path: Path) -> None:
    """There is nothing to go on with: every flaw is told, a version that has another text than before too."""
    where = folder(tmp_path, a=TOUCH)
    async with replica(tmp_path, ScriptedExecutor(), TEMPLATES_DIR=where):
        pass
    for broken, says in ((TOUCH.replace("steps:", "stps:"), "spec.stps"), (TOUCH.replace("alone", "lonely"), "before")):
        folder(tmp_path, a=broken)
        with pytest.raises(Rejected, match=says):
            async with replica(tmp_path, ScriptedExecutor(), TEMPLATES_DIR=where):
                pass


async def test_what_is_shipped_can_be_left_out(tmp_path: Path) -> None:
    """SHIPPED_TEMPLATES=false leaves the directory's templates alone, or none at all."""
    async with replica(tmp_path, ScriptedExecutor(), SHIPPED_TEMPLATES="false") as running:
        assert not [one for one in (await templates(running))["templates"] if one["lifecycle"]]
