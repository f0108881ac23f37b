"""Field selection: `?fields=status,result.success` leaves out of an answer what its caller does not need.

Names are checked against the model of the answer, and the OpenAPI document has all of them. In a list they are those of
an entry. Through lists they go on in every entry; below what is open (an alert's labels) any name may be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel
from starlette.requests import Request

from workflow_service.domain.errors import Rejected, Violation

MOST = 100  # names
DEEPEST = 5  # names below one whose inside is others' business
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")

Names: TypeAlias = "Mapping[str, Names | None]"
"""What there is: by name what is inside; nothing in it: a value; None: anything."""
Chosen: TypeAlias = "dict[str, Chosen]"
"""What was asked for: by name what of its inside; nothing in it: all."""


def chosen(request: Request, model: type[BaseModel]) -> Chosen | None:
    """What the caller wants of each `model`; None: all of it.

    Raises:
        Rejected: a name is not there; it says which, and what there is.
    """
    if "fields" not in request.query_params:
        return None
    found: Chosen = {}
    paths = ",".join(request.query_params.getlist("fields")).split(",")
    if len(paths) > MOST:
        raise _wrong(f"{len(paths)} names", f"must be at most {MOST} names")
    for path in paths:
        _expect(path, names_of(model))
        _add(found, path.split("."))
    return found


def pick(what: Chosen | None, document: Any) -> Any:
    """The part of the document that was asked for; what is not there is left out."""
    if not what:
        return document
    if isinstance(document, list | tuple):
        return [pick(what, one) for one in document]
    if not isinstance(document, Mapping):
        return document
    return {name: pick(inside, document[name]) for name, inside in what.items() if name in document}


@cache
def names_of(model: type[BaseModel]) -> Names:
    """The names in `model`, and inside them."""
    return {name: _inside(field.annotation) for name, field in model.model_fields.items()}


def offered(model: type[BaseModel]) -> dict[str, Any]:
    """The query parameter for the OpenAPI document."""
    known = sorted(_paths(names_of(model), ""))
    items: list[dict[str, Any]] = [{"type": "string", "enum": [path for path, _ in known]}]
    if beyond := [path.replace(".", r"\.") for path, is_open in known if is_open]:
        items.append({"type": "string", "pattern": rf"^({'|'.join(beyond)})(\.{_NAME.pattern}){{1,{DEEPEST}}}$"})
    return {
        "name": "fields",
        "in": "query",
        "required": False,
        "description": "only these, separated by commas; below a dot what is inside",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "minItems": 1, "maxItems": MOST, "items": {"anyOf": items}},
        "example": [path for path, _ in known][:2],
    }


def describe(document: dict[str, Any]) -> None:
    """Let the OpenAPI document say that answers may have less than everything, where fields can be chosen."""
    known = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            if any(one["name"] == "fields" for one in operation.get("parameters", ())):
                content = operation["responses"]["200"]["content"]["application/json"]
                content["schema"] = {"anyOf": [content["schema"], _part(content["schema"], known)]}


def _part(schema: Any, known: dict[str, Any]) -> Any:
    """The same schema with nothing required, and so all that it refers to, as components of their own."""
    if isinstance(schema, list):
        return [_part(one, known) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" not in schema:
        return {name: _part(inside, known) for name, inside in schema.items() if name != "required"}
    name = schema["$ref"].rpartition("/")[2]
    if f"{name}Part" not in known:
        known[f"{name}Part"] = {}  # should it refer to itself
        known[f"{name}Part"] = _part(known[name], known) | {"title": f"{name}Part", "description": "chosen fields"}
    return {"$ref": f"#/components/schemas/{name}Part"}


def _inside(annotation: Any) -> Names | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return names_of(annotation)
    if getattr(annotation, "__origin__", annotation) in {dict, Any}:
        return None
    parts = [_inside(one) for one in get_args(annotation)]
    return next((one for one in parts if one is None or one), {})


def _paths(names: Names, before: str) -> Iterator[tuple[str, bool]]:
    """Every path, and whether anything may follow it."""
    for name, inside in names.items():
        yield f"{before}{name}", inside is None
        yield from _paths(inside or {}, f"{before}{name}.")


def _expect(path: str, names: Names) -> None:
    there: Names | None = names
    parts = path.split(".")
    for place, name in enumerate(parts):
        if there is None:
            _expect_words(path, parts[place:])
            return
        if name not in there:
            which = ", ".join(sorted(there)) or "nothing inside"
            raise _wrong(path, f"is not there: {name!r} must be one of {which}")
        there = there[name]


def _expect_words(path: str, parts: list[str]) -> None:
    """Below what is open anything may be there."""
    if len(parts) > DEEPEST or not all(_NAME.fullmatch(part) for part in parts):
        raise _wrong(path, f"must be at most {DEEPEST} names there, of letters, digits, - and _")


def _add(found: Chosen, parts: list[str]) -> None:
    name, *inside = parts
    if not inside:
        found[name] = {}
    elif name not in found:
        found[name] = {}
        _add(found[name], inside)
    elif found[name]:  # else all of it is asked for already
        _add(found[name], inside)


def _wrong(value: str, rule: str) -> Rejected:
    return Rejected("the fields cannot be chosen", [Violation("fields", value[:200], rule)])
