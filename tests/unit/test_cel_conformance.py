"""The library for CEL gives the answers that the specification gives, and keeps giving them when it is updated."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workflow_service.domain.errors import InvalidExpression
from workflow_service.domain.expressions import EvaluationFailed, Type, compile_expression

SCOPE: Mapping[str, Type] = {
    "b": Type.BOOL,
    "i": Type.INT,
    "d": Type.DOUBLE,
    "s": Type.STRING,
    "t": Type.STRING,
    "xs": Type.LIST,
    "m": Type.MAP,
    "j": Type.DYN,
}
VALUES: Mapping[str, Any] = {
    "b": True,
    "i": 7,
    "d": 2.5,
    "s": "héllo",
    "t": "2026-11-22T23:30:15.250Z",  # a Sunday
    "xs": [3, 1, 2],
    "m": {"one": 1, "none": None, "deep": {"x": {"y": True}}},
    "j": {
        "one": 1,
        "half": 0.5,
        "whole": 2.0,
        "none": None,
        "text": "text",
        "list": [1, 2, 3],
        "deep": {"x": {"y": True}},
    },
}


def sections() -> dict[str, list[tuple[str, str]]]:
    """The table: under each heading the sources and their answers."""
    found: dict[str, list[tuple[str, str]]] = {}
    heading = ""
    for line in Path(__file__).with_name("cel_answers.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
            found[heading] = []
        elif line and not line.startswith("#"):
            source, _, answer = line.rpartition("=>")
            found[heading].append((source, answer.strip()))
    return found


def answer(source: str) -> str:
    """What the installed library answers, as the table writes it."""
    try:
        program = compile_expression(source, SCOPE)
    except InvalidExpression:
        return "refused"
    try:
        return json.dumps(program.evaluate(VALUES), ensure_ascii=False)
    except EvaluationFailed:
        return "error"


def as_written(expected: str) -> str:
    """The table's answer in the one form that JSON has."""
    return expected if expected in ("error", "refused") else json.dumps(json.loads(expected), ensure_ascii=False)


SECTIONS = sections()


@pytest.mark.requirement("BR-WF-006", "BR-WF-008", "BR-WF-009")
@pytest.mark.parametrize("heading", SECTIONS)
def test_every_answer_is_the_specified_one(heading: str) -> None:
    """No answer of the table differs; if one does after an update, running workflows would change with it."""
    cases = SECTIONS[heading]
    assert cases
    answers = {source.strip(): (answer(source), as_written(expected)) for source, expected in cases}
    assert {source: pair for source, pair in answers.items() if pair[0] != pair[1]} == {}


def test_the_table_is_whole() -> None:
    """Cases are not lost to a typing error: none occurs twice, and there are as many as the semantics need."""
    sources = [source.strip() for cases in SECTIONS.values() for source, _ in cases]
    assert len(sources) == len(set(sources))
    assert len(sources) >= 250
