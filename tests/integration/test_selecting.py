"""Field selection over the API: what was asked for and nothing else, on every list and detail that offers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.integration.test_openapi import document_of
from tests.support.replica import HIGH_CPU, Running, act, replica, rules_of
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.api import selecting
from workflow_service.api.schemas import WorkflowDetail


async def get(running: Running, path: str, fields: str) -> Any:
    """The answer with these fields only."""
    answer = await running.http.get(path, params={"fields": fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_lists_and_details(tmp_path: Path) -> None:
    """Entries of lists and whole details, nested names through lists, and what is open inside."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"), act("two"))) as running:
        result = await running.result(HIGH_CPU)
        url = f"/api/v1/workflows/{result['workflow_id']}"
        page = await get(running, "/api/v1/workflows", "status,workflow_id")
        assert page == {
            "workflows": [{"status": "completed", "workflow_id": result["workflow_id"]}],
            "next_cursor": None,
        }
        assert await get(running, url, "status,progress") == {"status": "completed", "progress": 1.0}
        inside = await get(running, url, "result.execution_details.steps.id,alert.labels.severity,result.success")
        assert inside == {
            "result": {"execution_details": {"steps": [{"id": "one"}, {"id": "two"}]}, "success": True},
            "alert": {"labels": {"severity": "critical"}},
        }
        assert set((await get(running, url, "events.kind,events.none"))["events"][0]) == {"kind"}
        whole = (await running.detail(result["workflow_id"]))["result"]
        assert (await get(running, url, "result.success,result"))["result"] == whole
        assert (await get(running, url, "result,result.success"))["result"] == whole
        detail, narrow = await running.http.get(url), await running.http.get(url, params={"fields": "status"})
        assert detail.headers["etag"] == narrow.headers["etag"]


async def test_every_path_that_is_offered_is_there(tmp_path: Path) -> None:
    """Each name that the document offers is answered 200, and each answer is what the document says."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        workflow_id = (await running.result(HIGH_CPU))["workflow_id"]
        [alert] = (await running.http.get("/api/v1/alerts")).json()["alerts"]
        document = await document_of(running)
        known = {"workflow_id": workflow_id, "alert_id": alert["alert_id"], "delivery_id": alert["delivery_id"]}
        seen = set()
        for template, operations in document["paths"].items():
            for one in operations.get("get", {}).get("parameters", ()):
                if one.get("name") != "fields" or "{silence_id}" in template:
                    continue
                seen.add(template)
                names = one["schema"]["items"]["anyOf"][0]["enum"]
                path = template.format(**known) + ("?workflow_id=" + workflow_id if "status" in template else "")
                joined = f"{path}{'&' if '?' in path else '?'}fields={','.join(names[:100])}"
                answer = await running.http.get(joined)
                assert answer.status_code == 200, answer.text
                schema = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][1]
                checked = {**schema, "components": document["components"]}
                jsonschema.Draft202012Validator(checked).validate(answer.json())
    assert len(seen) == 11


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("nothing", "must be one of"),
        ("status,result.nothing", "'nothing' must be one of"),
        ("status.more", "nothing inside"),
        ("", "must be one of"),
        ("status,", "must be one of"),
        ("alert..x", "of letters"),
        ("alert.a.b.c.d.e.f", "at most 5 names"),
        (",".join(["status"] * 101), "at most 100 names"),
    ],
)
async def test_what_is_not_there(tmp_path: Path, fields: str, told: str) -> None:
    """400 that names the field and says what there is."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        answer = await running.http.get("/api/v1/workflows/none", params={"fields": fields})
        assert answer.status_code == 400
        [error] = answer.json()["errors"]
        assert error["field"] == "fields"
        assert told in error["rule"]
        assert (await running.http.get("/api/v1/workflows", params={"fields": "alert"})).status_code == 400


def test_the_names_of_a_model() -> None:
    """Nested models have theirs, through lists and null; free-form objects are open."""
    names = selecting.names_of(WorkflowDetail)
    assert names["status"] == {}
    assert names["alert"] is None
    assert names["events"] is None
    result = names["result"]
    assert result is not None
    assert set(result["completed_actions"] or ()) >= {"id", "status"}
