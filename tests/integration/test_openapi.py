"""The OpenAPI document is true: what the service answers is what the document says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import pytest
import referencing
import referencing.jsonschema

from tests.support.replica import DISK_SPACE_HIGH, HIGH_CPU, MEMORY_LEAK, Running, act, eventually, replica, rules_of
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

SPECIFIED = {
    ("post", "/api/v1/execute"),
    ("get", "/api/v1/workflows"),
    ("get", "/api/v1/workflows/{workflow_id}"),
    ("get", "/api/v1/status"),
    *(("get", path) for path in ("/health", "/livez", "/readyz", "/metrics")),
}


def holds(document: Mapping[str, Any], operation: tuple[str, str], answer: httpx2.Response) -> None:
    """The answer has a documented status, media type and shape."""
    method, path = operation
    responses = document["paths"][path][method]["responses"]
    assert str(answer.status_code) in responses, (operation, answer.status_code)
    content = responses[str(answer.status_code)]["content"]
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in content, (operation, media_type)
    resource = referencing.jsonschema.DRAFT202012.create_resource(document)
    registry: referencing.Registry[Any] = referencing.Registry().with_resource("urn:api", resource)
    pointer = f"#/paths/{path.replace('/', '~1')}/{method}/responses/{answer.status_code}/content"
    whole = "/anyOf/0" if "anyOf" in content[media_type]["schema"] else ""  # else it may have chosen fields only
    schema = {"$ref": f"urn:api{pointer}/{media_type.replace('/', '~1')}/schema{whole}"}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, registry=registry, format_checker=checker).validate(answer.json())


async def document_of(running: Running) -> dict[str, Any]:
    """The document as the service serves it."""
    answer = await running.http.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


async def test_the_document_names_every_route(tmp_path: Path) -> None:
    """OpenAPI 3.1, with the service's name, the specified routes, and no path that is not there."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        document = await document_of(running)
        assert await document_of(running) == document  # whenever it is asked for
        unknown = [path for path in document["paths"] if (await running.http.options(path)).status_code == 404]
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "workflow-service"
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} >= SPECIFIED
    assert not unknown
    assert document["components"]["schemas"]["AlertIn"]["required"] == ["name"]


@pytest.mark.parametrize("alert", [HIGH_CPU, MEMORY_LEAK, DISK_SPACE_HIGH], ids=lambda alert: alert["name"])
async def test_specified_alerts_validate_as_documented(tmp_path: Path, alert: dict[str, Any]) -> None:
    """The specification's alerts are what the document says is to be sent, and their answers what it says comes."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        document = await document_of(running)
        schema = {**document["components"]["schemas"]["AlertIn"], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(alert)
        holds(document, ("post", "/api/v1/execute"), await running.execute(alert))
        holds(document, ("post", "/api/v1/execute"), await running.execute(alert))  # cooled down


async def test_every_sort_of_answer_is_as_documented(tmp_path: Path) -> None:
    """Running, failed, rolled back, resolved and refused; lists, details, status and health."""
    executor = ScriptedExecutor()
    executor.script("two", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules) as running:
        document = await document_of(running)
        execute, listed = ("post", "/api/v1/execute"), ("get", "/api/v1/workflows")
        holds(document, execute, await running.execute({**HIGH_CPU, "status": "resolved"}))
        accepted = await running.execute(HIGH_CPU, prefer="respond-async")
        assert accepted.status_code == 202
        holds(document, execute, accepted)
        await eventually(lambda: executor.running() == ["two"], "the second step runs")
        workflow_id = accepted.json()["result"]["workflow_id"]
        detail, status = ("get", "/api/v1/workflows/{workflow_id}"), ("get", "/api/v1/status")
        for _ in range(2):
            holds(document, detail, await running.http.get(f"/api/v1/workflows/{workflow_id}"))
            holds(document, status, await running.http.get("/api/v1/status", params={"workflow_id": workflow_id}))
            holds(document, listed, await running.http.get("/api/v1/workflows"))
            executor.finish(how=failing(ErrorClass.PERMANENT))
            assert (await running.ended(workflow_id))["status"] == "rolled_back"
        holds(document, ("get", "/health"), await running.http.get("/health"))


async def test_refusals_are_as_documented(tmp_path: Path) -> None:
    """Every problem is the documented problem."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        document = await document_of(running)
        http = running.http
        holds(document, ("post", "/api/v1/execute"), await http.post("/api/v1/execute", content=b"invalid json"))
        holds(document, ("post", "/api/v1/execute"), await http.post("/api/v1/execute", content=b"x" * 2_000_000))
        holds(document, ("get", "/api/v1/workflows"), await http.get("/api/v1/workflows", params={"cursor": "x"}))
        holds(document, ("get", "/api/v1/workflows/{workflow_id}"), await http.get("/api/v1/workflows/nobody"))
        holds(document, ("get", "/api/v1/status"), await http.get("/api/v1/status"))
        holds(document, ("get", "/api/v1/status"), await http.get("/api/v1/status", params={"workflow_id": "x"}))
