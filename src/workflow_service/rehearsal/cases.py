"""Tests of templates as people write them: `kind: TemplateTest`, read with line and column of every flaw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workflow_service.domain.alert import Alert, alert_from_json
from workflow_service.domain.errors import ErrorClass, InvalidAlert
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.target import KINDS, Target
from workflow_service.domain.template import API_VERSION
from workflow_service.planning.step_format import SPAN, Flaw, against, seconds
from workflow_service.planning.template_file import InvalidTemplate, located, not_yaml
from workflow_service.planning.yaml_reading import Mark, NotYaml, Reading

KIND = "TemplateTest"
MAX_BYTES = 256 * 1024
CLUSTER = "default"
_FACTS = {"type": "object"}
_OBJECTS = {"type": "object", "additionalProperties": _FACTS}
_STEP = r"^[a-z][a-z0-9_]*(\[[0-9]+\])?(/[a-z][a-z0-9_]*(\[[0-9]+\])?)*$"
_PATHS = {"type": "array", "items": {"type": "string", "pattern": _STEP}}


def _closed(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}


_ANSWER = _closed(
    {
        "fails": {"enum": [one.value for one in ErrorClass]},
        "message": {"type": "string"},
        "result": {"type": "object"},
        "changes": {"type": "boolean"},
        "undoable": {"type": "boolean"},
        "takes": SPAN,
        "sees": _OBJECTS,
    }
)
_ANSWERS = {"type": "object", "additionalProperties": {"type": "array", "items": _ANSWER, "minItems": 1}}
_SEEN = _closed(
    {"owners": {"type": "array", "items": {"type": "string"}}, "facts": _FACTS, "gone": {"type": "boolean"}}
)
_EXPECT = _closed(
    {
        "template": {"type": "string"},
        "parameters": {"type": "object"},
        "order": _PATHS,
        "sent": {"type": "object", "additionalProperties": {"type": "object"}},
        "skipped": _PATHS,
        "undo": _PATHS,
        "status": {"enum": [one.value for one in ExecutionStatus]},
        "reason": {"type": "string"},
    },
    "template",
    "order",
    "undo",
    "status",
)
_CASE = _closed(
    {
        "name": {"type": "string", "pattern": r"\S", "maxLength": 200},
        "alert": {"type": "object"},
        "order": _closed({"template": {"type": "string"}, "parameters": {"type": "object"}}, "template"),
        "cluster": {"type": "object", "additionalProperties": _SEEN},
        "metrics": _OBJECTS,
        "answers": _ANSWERS,
        "undos": _ANSWERS,
        "people": {"type": "object", "additionalProperties": {"enum": ["approve", "reject", "nobody"]}},
        "expect": _EXPECT,
    },
    "name",
    "expect",
)
SCHEMA: Mapping[str, Any] = _closed(
    {
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": KIND},
        "cases": {"type": "array", "items": _CASE, "minItems": 1, "maxItems": 200},
    },
    "apiVersion",
    "kind",
    "cases",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the executor says to one attempt, or one undo. Times in seconds."""

    fails: ErrorClass | None = None  # None: it succeeds
    message: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    changes: bool | None = None  # None: as the catalogue says
    undoable: bool | None = None
    takes: float = 1.0
    sees: Mapping[Target | str, Mapping[str, Any]] = field(default_factory=dict)  # facts that are so from then on


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of the cluster: what it is to begin with."""

    owners: tuple[Target, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One test: what comes, how the world is and answers, and what must become of it."""

    name: str
    file: str
    mark: Mark
    expect: Mapping[str, Any]
    alert: Alert | None = None
    order: Mapping[str, Any] | None = None
    cluster: Mapping[Target, Thing] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answers: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    undos: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict)


def cases(file: str, body: str) -> tuple[Case, ...]:
    """The tests of a file.

    Raises:
        InvalidTemplate: with every flaw of the file.
    """
    reading = Reading(most=MAX_BYTES)
    try:
        document = reading.document(body)
    except NotYaml as error:
        raise InvalidTemplate([not_yaml(file, error)]) from error
    broken = [*reading.flaws] or [*against(SCHEMA, document, ())]
    broken = broken or [*_flaws(document)]
    if broken:
        raise InvalidTemplate(located(file, reading, flaw) for flaw in broken)
    marks = (reading.spot(("cases", index, "name")) or Mark(1, 1) for index in range(len(document["cases"])))
    return tuple(_case(raw, file, mark) for raw, mark in zip(document["cases"], marks, strict=True))


def target_of(text: str) -> Target:
    """The object that `Deployment/production/web` or `Node/node-1` names.

    Raises:
        ValueError: it names none.
    """
    kind, *names = text.split("/")
    known = KINDS.get(kind.lower(), kind)
    if known == "Node" and len(names) == 1:
        return Target(CLUSTER, known, names[0])
    if len(names) != 2 or not all((kind, *names)):
        raise ValueError("must be kind/namespace/name, or Node/name")
    return Target(CLUSTER, known, names[1], names[0])


def _flaws(document: Mapping[str, Any]) -> Iterator[Flaw]:
    for index, raw in enumerate(document["cases"]):
        at: tuple[str | int, ...] = ("cases", index)
        if ("alert" in raw) == ("order" in raw):
            yield at, raw["name"], "must have either `alert` or `order`"
        try:
            alert_from_json(raw.get("alert", {"name": "none"}))
        except InvalidAlert as invalid:
            for one in invalid.violations:
                yield (*at, "alert"), one.value, f"{one.field} {one.rule}"
        for text in (
            *raw.get("cluster", {}),
            *(name for one in raw.get("cluster", {}).values() for name in _owners(one)),
        ):
            try:
                target_of(text)
            except ValueError as error:
                yield (*at, "cluster"), text, str(error)


def _owners(raw: Mapping[str, Any]) -> list[str]:
    return list(raw.get("owners", ()))


def _case(raw: Mapping[str, Any], file: str, mark: Mark) -> Case:
    return Case(
        name=raw["name"],
        file=file,
        mark=mark,
        expect=raw["expect"],
        alert=alert_from_json(raw["alert"]) if "alert" in raw else None,
        order=raw.get("order"),
        cluster={target_of(name): _thing(one) for name, one in raw.get("cluster", {}).items()},
        metrics=raw.get("metrics", {}),
        answers=_answers(raw.get("answers", {})),
        undos=_answers(raw.get("undos", {})),
        people=raw.get("people", {}),
    )


def _thing(raw: Mapping[str, Any]) -> Thing:
    return Thing(tuple(map(target_of, _owners(raw))), raw.get("facts", {}), raw.get("gone", False))


def _answers(raw: Mapping[str, Any]) -> dict[str, tuple[Answer, ...]]:
    return {step: tuple(map(_answer, given)) for step, given in raw.items()}


def _answer(raw: Mapping[str, Any]) -> Answer:
    read: dict[str, Any] = {**raw}
    if "fails" in raw:
        read["fails"] = ErrorClass(raw["fails"])
    if "takes" in raw:
        read["takes"] = float(seconds(raw["takes"]))
    if "sees" in raw:
        read["sees"] = {_subject(name): facts for name, facts in raw["sees"].items()}
    return Answer(**read)


def _subject(text: str) -> Target | str:
    """An object, or else a query of Prometheus."""
    try:
        return target_of(text)
    except ValueError:
        return text
