"""What is wrong with a template around its steps: parameters, where they come from, which alerts lead to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from workflow_service.domain.errors import InvalidExpression
from workflow_service.domain.expressions import Scope, Type, compile_expression
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.scope import nameable
from workflow_service.planning.step_format import Flaw, Place
from workflow_service.planning.templates import KNOWN, types_of

MAX_PARAMETERS = 50
_AT: Place = ("spec",)


def flaws(spec: Mapping[str, Any]) -> Iterator[Flaw]:
    """What is wrong with a spec whose shape is right, its steps aside."""
    for name in ("description", "steps"):
        if name not in spec:
            yield _AT, name, f"must have `{name}`, here or in what it extends"
    schema = spec.get("parameters", {"type": "object"})
    broken = list(_schema(schema))
    yield from broken
    if broken:
        return
    types = types_of(schema)
    yield from _derive(spec, schema, types)
    match = spec.get("match", {})
    if "when" in match:
        yield from _cel(match["when"], {**KNOWN, **types}, Type.BOOL, (*_AT, "match", "when"))
    target = spec.get("target", {})
    for name in ("namespace", "name"):
        if name in target:
            yield from _cel(target[name], types, Type.STRING, (*_AT, "target", name))
    if target and target["kind"] != "Node" and "namespace" not in target:
        yield (*_AT, "target"), target["kind"], "needs `namespace`: only a Node is in none"


def _schema(schema: Mapping[str, Any]) -> Iterator[Flaw]:
    at: Place = (*_AT, "parameters")
    if schema.get("type") != "object":
        yield at, schema.get("type"), "must have `type: object`"
        return
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        yield (*at, *error.absolute_path), error.instance, f"is no JSON Schema: {error.message[:200]}"
        return
    properties = schema.get("properties", {})
    if len(properties) > MAX_PARAMETERS:
        yield (*at, "properties"), len(properties), f"must be at most {MAX_PARAMETERS}"
    for name in schema.get("required", ()):
        if name not in properties:
            yield (*at, "required"), name, "is not among `properties`"
    for name, one in properties.items():
        yield from _parameter(name, one, schema, (*at, "properties", name))


def _parameter(name: str, one: object, schema: Mapping[str, Any], at: Place) -> Iterator[Flaw]:
    if not nameable(name):
        yield at, name, "cannot be named by expressions: use a-z 0-9 _ only, and no digit first"
    if not isinstance(one, Mapping) or "$ref" in one:
        yield at, one, "must be a schema of its own"
        return
    if "default" not in one:
        if name not in schema.get("required", ()):
            yield at, name, "needs a `default`, or to be among `required`: expressions must be able to name it"
        return
    if has_expressions(one["default"]):
        yield (*at, "default"), one["default"], "must be a value, not an expression"
        return
    for error in jsonschema.Draft202012Validator(one).iter_errors(one["default"]):
        yield (*at, "default"), one["default"], f"breaks its own schema: {error.message[:200]}"


def _derive(spec: Mapping[str, Any], schema: Mapping[str, Any], types: Scope) -> Iterator[Flaw]:
    derive, properties = spec.get("derive", {}), schema.get("properties", {})
    for name, said in derive.items():
        at: Place = (*_AT, "derive", name)
        if name not in properties:
            yield at, name, "is no parameter: see `parameters.properties`"
            continue
        for index, source in enumerate([said] if isinstance(said, str) else said):
            where = at if isinstance(said, str) else (*at, index)
            yield from _cel(source, KNOWN, types[f"params.{name}"], where)
    for name in schema.get("required", ()) if "match" in spec else ():
        if name not in derive and "default" not in properties[name]:
            rule = "must be in `derive` or have a `default`: no alert could lead here"
            yield (*_AT, "parameters", "properties", name), name, rule


def _cel(source: str, scope: Scope, kind: Type, at: Place) -> Iterator[Flaw]:
    try:
        compile_expression(source, scope, expects=kind)
    except InvalidExpression as error:
        for violation in error.violations:
            yield at, violation.value, violation.rule
