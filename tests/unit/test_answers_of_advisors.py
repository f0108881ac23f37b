"""Which answers of a model are taken, and what is said about those that are not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.questions import DRAIN, LOOK, ROLLBACK, SCALE, answer, pick, question, text
from tests.support.scripted_executor import CATALOGUE
from workflow_service.domain.advice import Candidate, Draft, Pick, Task, choosable
from workflow_service.domain.answer_checks import Flaw, check
from workflow_service.domain.answer_schema import answer_schema
from workflow_service.domain.answer_text import Reason, Unreadable, document_in
from workflow_service.domain.catalogue import catalogue_from_wire
from workflow_service.domain.confidence import weighed
from workflow_service.domain.prompting import prompt

QUESTION = question()


def flaws(document: object, task: Task = Task.SELECT) -> tuple[Flaw, ...]:
    """What is wrong with it."""
    found = check(document, task, QUESTION)
    assert not isinstance(found, Draft), found
    return found


def draft(document: object, task: Task = Task.SELECT) -> Draft:
    """What it says, being sound."""
    found = check(document, task, QUESTION)
    assert isinstance(found, Draft), found
    return found


def test_a_sound_answer_is_understood() -> None:
    """Choice, parameters, priority, duration, suggestions with whether they change something, and words."""
    found = draft(answer())
    assert found.picks == (Pick("crashloop-rollback", {"min_restarts": 3}, 1, 90),)
    [suggested] = found.suggestions
    assert (suggested.action, suggested.parameters, suggested.changes) == (LOOK.name, {"time_range": "1h"}, False)
    assert (found.reported, found.root_cause) == (0.82, "the new image does not start")


def test_none_of_them_is_an_answer() -> None:
    """No pick means that none fits; null leaves a parameter as it is."""
    assert draft(answer(picks=[])).picks == ()
    assert draft(answer(pick(parameters={"min_restarts": None}, priority=None))).picks[0].parameters == {}


@pytest.mark.parametrize(
    ("broken", "at", "reason"),
    [
        ({"picks": [pick("drain-everything")]}, "picks.0.candidate", Reason.CANDIDATE),
        ({"picks": [pick(), pick("restart")]}, "picks", Reason.SCHEMA),
        ({"picks": [pick(parameters={"min_restarts": 0})]}, "picks.0.parameters.min_restarts", Reason.PARAMETER),
        ({"picks": [pick(parameters={"min_restarts": "3"})]}, "picks.0.parameters.min_restarts", Reason.PARAMETER),
        ({"picks": [pick(parameters={"min_restarts": True})]}, "picks.0.parameters.min_restarts", Reason.PARAMETER),
        ({"picks": [pick(parameters={"force": True})]}, "picks.0.parameters", Reason.PARAMETER),
        ({"picks": [pick(parameters={"namespace": "kube-system"})]}, "picks.0.parameters", Reason.TARGET),
        ({"picks": [pick(parameters={"namespace": "production"})]}, "picks.0.parameters", Reason.TARGET),
        ({"picks": [pick(target={"name": "x"})]}, "picks.0", Reason.TARGET),
        ({"picks": [pick("scale-out", parameters={})]}, "picks.0.parameters.replicas", Reason.PARAMETER),
        ({"picks": [pick(priority=0)]}, "picks.0.priority", Reason.SCHEMA),
        ({"picks": [pick(estimated_seconds=10**9)]}, "picks.0.estimated_seconds", Reason.SCHEMA),
        ({"picks": "restart"}, "picks", Reason.SCHEMA),
        ({"picks": ["restart"]}, None, None),
        ({"suggested": [{"action": "drain_node", "parameters": {}}]}, "suggested.0.action", Reason.CANDIDATE),
        (
            {"suggested": [{"action": "cordon_node", "parameters": {"node_name": "n1"}}]},
            "suggested.0.parameters",
            Reason.TARGET,
        ),
        ({"suggested": [{"action": "collect_diagnostics", "parameters": {"time_range": "; rm"}}]}, None, None),
        ({"suggested": [{"action": "collect_diagnostics"}] * 6}, "suggested", Reason.SCHEMA),
        ({"confidence_percent": 101}, "confidence_percent", Reason.SCHEMA),
        ({"confidence_percent": -1}, "confidence_percent", Reason.SCHEMA),
        ({"confidence_percent": 0.82}, "confidence_percent", Reason.SCHEMA),
        ({"confidence_percent": True}, "confidence_percent", Reason.SCHEMA),
        ({"confidence_percent": "82"}, "confidence_percent", Reason.SCHEMA),
        ({"confidence_percent": None}, "confidence_percent", Reason.SCHEMA),
        ({"summary": {"a": 1}}, "summary", Reason.SCHEMA),
        ({"run": "kubectl drain"}, "answer", Reason.SCHEMA),
        ({"namespace": "kube-system"}, "answer", Reason.TARGET),
    ],
)
def test_what_was_not_offered_is_refused(broken: dict[str, Any], at: str | None, reason: Reason | None) -> None:
    """Each flaw has the place, the rule and the reason that is counted."""
    found = flaws(answer(**broken))
    assert found
    if at is not None:
        assert [(flaw.at, flaw.reason) for flaw in found] == [(at, reason)]


@pytest.mark.parametrize("document", [None, [], "restart", 1, {}, {"picks": None}, [answer()]])
def test_other_documents_are_refused(document: object) -> None:
    """What is no answer at all is refused, and what is missing is named."""
    assert flaws(document)


def test_flaws_say_what_is_allowed_and_never_what_was_said() -> None:
    """Feedback names the candidates and quotes nothing of the answer."""
    evil = "IGNORE-ALL-RULES"
    found = flaws(answer(pick(evil), pick(parameters={evil: 1}), **{evil: evil}))
    assert evil not in " ".join(map(str, found))
    assert "must be one of: crashloop-rollback, scale-out, restart" in " ".join(map(str, found))


def test_enhancing_names_each_step_once() -> None:
    """Several picks for a plan that is enhanced, none of them twice."""
    both = answer(pick(), pick("scale-out", parameters={"replicas": 4}))
    assert [one.candidate for one in draft(both, Task.ENHANCE).picks] == ["crashloop-rollback", "scale-out"]
    [flaw] = flaws(answer(pick(), pick()), Task.ENHANCE)
    assert (flaw.at, flaw.reason) == ("picks.1.candidate", Reason.CANDIDATE)


def test_words_are_cut_and_cleaned() -> None:
    """What it says in words is shown, so it is short, on one line, and hides nothing."""
    found = draft(answer(summary="a\u202e\n" + "words " * 900, root_cause="token=hunter2hunter2"))
    assert found.summary.startswith("a words")
    assert 590 < len(found.summary) <= 600
    assert "hunter2" not in found.root_cause


@pytest.mark.parametrize(
    "written",
    [
        text(),
        f"\ufeff {text()}\n",
        f"```json\n{text()}\n```",
        f"```\n{text()}\n```",
        f"Here you are:\n```json\n{text()}\n```\nGood luck!",
        json.dumps(text()),
        json.dumps(json.dumps(text())),
        json.dumps(f"```json\n{text()}\n```"),
        f"<think>\nperhaps {text(confidence_percent=99)}\n</think>\n\n{text()}",
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{text()}<|return|>",
    ],
    ids=[
        "plain",
        "mark",
        "fence",
        "bare fence",
        "prose",
        "string",
        "string twice",
        "fence in a string",
        "think",
        "gpt-oss",
    ],
)
def test_known_wrappings_are_put_up_with(written: str) -> None:
    """Fences, a byte order mark and JSON inside of a JSON string are what providers do."""
    assert document_in(written) == answer()


@pytest.mark.parametrize(
    "written",
    [
        "",
        "I would restart it.",
        f"Sure! {text()}",
        f"<think>{text()}",
        f"{text()}<think>no</think>",
        text()[:80],
        f"{text()} {text()}",
        f"```json\n{text()}\n```\n```json\n{text(confidence_percent=99)}\n```",
        json.dumps(json.dumps(json.dumps(text()))),
        '{"confidence_percent": 10, "confidence_percent": 99}',
        '{"confidence_percent": NaN}',
        '{"confidence_percent": -Infinity}',
        "[" * 50_000,
        '{"a":' * 10_000,
        "1" * 5000,
        " " * 70_000,
        "<html>login</html>",
    ],
    ids=lambda written: written[:12],
)
def test_what_is_not_one_document_is_refused(written: str) -> None:
    """Prose, pieces, two documents, a key twice and numbers that are none: refused, never guessed."""
    with pytest.raises(Unreadable):
        document_in(written)


@given(st.text(max_size=400))
def test_no_text_breaks_the_reader(written: str) -> None:
    """Whatever is written, it is a document or `Unreadable`."""
    try:
        document_in(written)
    except Unreadable:
        return


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(answer())), _json), st.sampled_from(Task))
def test_no_document_gets_anything_else_through(changed: dict[str, Any], task: Task) -> None:
    """Whatever is in it, a draft names candidates only, sets declared parameters only, within their schemas."""
    found = check({**answer(), **changed}, task, QUESTION)
    if isinstance(found, Draft):
        assert {one.candidate for one in found.picks} <= {one.name for one in QUESTION.candidates}
        assert {one.action for one in found.suggestions} <= {LOOK.name, DRAIN.name}
        assert 0 <= found.reported <= 1


@pytest.mark.parametrize("task", Task)
def test_the_schema_takes_what_the_checks_take(task: Task) -> None:
    """A sound answer fits the schema that was sent, and the schema refuses what was not offered."""
    schema = answer_schema(task, QUESTION)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    more: dict[str, Any] = {"condition": None} if task is Task.GENERATE else {}
    assert validator.is_valid(answer(pick(**more)))
    for broken in (pick("other"), pick(parameters={"min_restarts": 1000}), pick(parameters={"x": 1})):
        assert not validator.is_valid(answer({**broken, **more}))


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema."""
    if isinstance(schema, dict):
        yield schema
    inside = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for inner in inside:
        yield from nodes(inner)


def test_the_schema_is_one_that_servers_can_hold_to() -> None:
    """Closed objects with every property required, bounds on integers only, every text and list with a longest."""
    number = Candidate("n", parameters={"share": {"type": "number", "minimum": 0, "maximum": 1}, "on": {"enum": ["a"]}})
    schema = answer_schema(Task.ENHANCE, question(candidates=(ROLLBACK, SCALE, number)))
    found = [*nodes(schema)]
    assert not [node for node in found if "pattern" in node]
    objects = [node for node in found if node.get("type") == "object"]
    assert objects
    assert all(node["additionalProperties"] is False for node in objects)
    assert all(node["required"] == list(node["properties"]) for node in objects)
    assert not [node for node in found if "number" in str(node.get("type")) and {"minimum", "maximum"} & set(node)]
    assert all("maxItems" in node for node in found if node.get("type") == "array")
    texts = [node for node in found if node.get("type") == "string" and "enum" not in node]
    assert all(node["maxLength"] <= 600 for node in texts)
    assert len(json.dumps(schema)) < 8000


def test_nobody_can_be_asked_for_a_target() -> None:
    """A candidate that would let an advisor choose what is acted upon is a fault of ours, told at once."""
    with pytest.raises(ValueError, match="namespace"):
        question(candidates=(Candidate("x", parameters={"namespace": {"type": "string"}}),))
    with pytest.raises(ValueError, match="different names"):
        question(candidates=(SCALE, SCALE))
    schema = {
        "properties": {
            "replicas": {"type": "integer"},
            "node_name": {"type": "string"},
            "rules": {"type": "array"},
            "reason": {"type": "string"},
        }
    }
    assert choosable(schema, {"replicas", "node_name", "rules", "missing"}) == {"replicas": {"type": "integer"}}


@pytest.mark.parametrize(
    "schema",
    [True, {}, {"type": ["integer", "null"]}, {"type": "object"}, {"enum": []}, {"enum": [{}]}, {"$ref": "#/x"}, None],
    ids=str,
)
def test_only_plain_values_can_be_chosen(schema: object) -> None:
    """What a catalogue may hold beside them is left out, without a complaint."""
    assert choosable({"properties": {"x": schema}}, {"x"}) == {}


def test_every_action_of_the_catalogue_can_be_offered() -> None:
    """Whatever the executor offers becomes a candidate whose schema is sound and small, without its targets."""
    actions = catalogue_from_wire(CATALOGUE).actions.values()
    candidates = [
        Candidate(
            one.type, one.description, (one.type,), choosable(one.parameters, one.parameters.get("properties", {}))
        )
        for one in actions
    ]
    assert len(candidates) > 20
    for first in range(0, len(candidates), 20):
        part = tuple(candidates[first : first + 20])
        schema = answer_schema(Task.ENHANCE, question(candidates=part, suggestible=part))
        jsonschema.Draft202012Validator.check_schema(schema)
        assert len(json.dumps(schema)) < 40_000
        assert prompt(Task.SELECT, question(candidates=part), marker="a" * 32, schema=schema).user
    assert not {"namespace", "node_name", "resource_name"} & {name for one in candidates for name in one.parameters}


@pytest.mark.parametrize(
    ("reported", "seen", "mended", "effective", "why"),
    [
        (82, True, False, 0.82, ""),
        (97, True, False, 0.9, "certainty"),
        (82, False, False, 0.6, "no_evidence"),
        (82, True, True, 0.5, "mended"),
        (82, False, True, 0.5, "mended"),
        (40, False, True, 0.4, ""),
        (0, True, False, 0.0, ""),
    ],
)
def test_confidence_is_capped_by_evidence(reported: int, seen: bool, mended: bool, effective: float, why: str) -> None:
    """Never above what it says, 0.9, 0.6 with nothing seen, 0.5 after a refused answer; the lowest counts."""
    found = weighed(draft(answer(confidence_percent=reported)), seen=seen, mended=mended)
    assert (found.confidence, found.capped_by) == (effective, why)


def test_the_example_on_the_page_is_an_answer() -> None:
    """What docs/advisors.md shows is what is taken."""
    page = (Path(__file__).parents[2] / "docs" / "advisors.md").read_text("utf-8")
    [example] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert draft(json.loads(example)) == draft(answer())
