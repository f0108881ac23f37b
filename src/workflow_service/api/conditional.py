"""Conditional requests (RFC 9110 section 13): tags, 304 for what is known already, 412 for what has changed.

A tag is `"<version>.<view>"`. The version is what a command may rest on and is compared in the transaction that obeys;
the view is the rest of what is shown, such as a place in line, which changes without anybody having done anything.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from workflow_service.api.problems import problem

_ONE = r'(?:W/)?"[!#-~]*"'
_LIST = re.compile(rf"{_ONE}(?:[ \t]*,[ \t]*{_ONE})*")
_TAG = re.compile(_ONE)

ANSWER_HEADERS: dict[str, Any] = {
    "ETag": {"description": "for If-Match and If-None-Match", "schema": {"type": "string"}}
}
IF_MATCH: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "do it only while this is the tag; else 412, and nothing is done",
    "schema": {"type": "string"},
}
IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "answer 304 while this is the tag",
    "schema": {"type": "string"},
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "as the given tag says", "headers": ANSWER_HEADERS}
}


def tag(version: str, shown: object) -> str:
    """The tag of something in that version that is shown so."""
    return f'"{version}.{hashlib.blake2b(orjson.dumps(shown), digest_size=6).hexdigest()}"'


def expected(request: Request) -> frozenset[str] | None:
    """The versions of which one must be the present one; None: any will do.

    A weak tag matches nothing, and what is no list of tags matches nothing either: it is a condition all the same.
    """
    given = ",".join(request.headers.getlist("if-match"))
    if "if-match" not in request.headers or given == "*":
        return None
    tags = _TAG.findall(given) if _LIST.fullmatch(given) else ()
    strong = (found for found in tags if not found.startswith("W/"))
    return frozenset(found.strip('"').rpartition(".")[0] for found in strong)


def is_known(request: Request, present: str) -> bool:
    """Whether the caller has what is there now."""
    given = ",".join(request.headers.getlist("if-none-match"))
    return given.strip() == "*" or present in {found.removeprefix("W/") for found in _TAG.findall(given)}


def not_modified(present: str) -> Response:
    """304: what the caller has is what is there."""
    return Response(status_code=304, headers={"ETag": present})


def stale(request: Request, present: str) -> Response:
    """412: it has changed since; nothing was done."""
    detail = f"If-Match: the tag is {present} now, which is not among those given; nothing was done"
    return problem(request, 412, "Precondition failed", detail, headers={"ETag": present}, current=present)
