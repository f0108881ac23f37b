"""NUL in a path or a query is a mistake of the caller's on every route, whatever the database makes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.integration.test_openapi import document_of, holds
from tests.support.replica import replica
from tests.support.scripted_executor import ScriptedExecutor


def places(document: dict[str, Any], where: str) -> list[tuple[str, str, str]]:
    """Method, path and name of each parameter there, of every operation."""
    return [
        (method, path, place["name"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for place in operation.get("parameters", ())
        if place.get("in") == where
    ]


@pytest.mark.parametrize("mode", ["", "keys"])
async def test_nul_is_refused_on_every_route(tmp_path: Path, postgresql_url: str, mode: str) -> None:
    """On PostgreSQL, in each parameter of the OpenAPI document: 400 with its place, whoever asks."""
    async with replica(tmp_path, ScriptedExecutor(), DATABASE_URL=postgresql_url, AUTH_MODE=mode) as running:
        document = await document_of(running)
        for method, path, name in places(document, "path"):
            url = re.sub(r"{.*?}", "1", path.replace(f"{{{name}}}", "a%00b"))
            answer = await running.http.request(method, url)
            holds(document, (method, path), answer)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "path"), (method, url)
        for method, path, name in places(document, "query"):
            answer = await running.http.request(method, f"{re.sub(r'{.*?}', '1', path)}?{name}=%00")
            holds(document, (method, path), answer)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, f"query.{name}"), (method, path)
        assert (await running.http.get("/livez?x=1%000")).status_code == 400
        assert (await running.http.get("/livez?x=%2500")).status_code == 200


async def test_the_document_forbids_nul(tmp_path: Path) -> None:
    """Every text in a path or a query has a pattern, or something else that no NUL passes."""
    async with replica(tmp_path, ScriptedExecutor()) as running:
        document = await document_of(running)
    known, checker = {"components": document["components"]}, jsonschema.FormatChecker()
    checker.checks("date-time")(lambda text: text.isprintable())
    for where in ("path", "query"):
        for method, path, name in places(document, where):
            listed = document["paths"][path][method]["parameters"]
            [schema] = [place["schema"] for place in listed if place.get("name") == name]
            strict = jsonschema.Draft202012Validator({**schema, **known}, format_checker=checker)
            assert not strict.is_valid("a\0"), (method, path, name)
