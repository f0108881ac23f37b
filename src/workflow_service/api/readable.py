"""NUL in a path or a query: refused before anybody asks a database about it, since PostgreSQL has no text with one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from workflow_service.api.problems import documented, problem
from workflow_service.domain.errors import Violation

RULE = "must not contain NUL"
_NUL = "\0"
_SAYS_ALREADY = frozenset({"pattern", "enum", "const", "format"})  # what excludes it anyway


class Readable:
    """ASGI middleware; put it around everything that looks something up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400 with the place of each NUL."""
        violations = list(_violations(scope)) if scope["type"] == "http" else []
        if not violations:
            await self._app(scope, receive, send)
            return
        detail = "; ".join(map(str, violations))
        await problem(Request(scope), 400, "Invalid request", detail, violations=violations)(scope, receive, send)


def describe(document: dict[str, Any]) -> None:
    """Say so in the OpenAPI document, of every text in a path or a query."""
    for operations in document["paths"].values():
        for operation in operations.values():
            places = [one for one in operation.get("parameters", ()) if one.get("in") in {"path", "query"}]
            for place in places:
                _forbid(place["schema"])
            if places:
                operation["responses"].setdefault("400", documented(400)[400])


def _forbid(schema: dict[str, Any]) -> None:
    if schema.get("type") == "string" and not _SAYS_ALREADY & schema.keys():
        schema["pattern"] = r"^[^\u0000]*$"
    for inner in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        _forbid(inner)


def _violations(scope: Scope) -> Iterator[Violation]:
    if _NUL in scope["path"]:
        yield Violation("path", scope["path"], RULE)
    query = scope["query_string"]
    if b"%00" in query or b"\0" in query:
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if _NUL in name + value:
                yield Violation(f"query.{name}", value, RULE)
