"""No answer of an advisor's server breaks its reader, whatever JSON is in it."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.questions import question
from workflow_service.clients.advisors import holmesgpt, kubernaut_wire, openai_compatible
from workflow_service.clients.advisors.asking import Asked, Said
from workflow_service.clients.advisors.consulting import judge
from workflow_service.clients.advisors.line import Heard, _seconds
from workflow_service.domain.advice import Draft, Task
from workflow_service.domain.answer_checks import check

KEYS = sorted(
    {"choices", "message", "content", "finish_reason", "refusal", "usage", "total_tokens", "cost", "model", "text"}
    | {"analysis", "metadata", "result", "status", "tool_calls", "requires_approval", "total_cost", "error", "detail"}
    | {
        "action",
        "actions",
        "type",
        "parameters",
        "confidence",
        "priority",
        "estimated_duration",
        "reasoning",
        "summary",
    }
    | {"primary_reason", "recommendations", "evidence", "explanation", "root_causes", "namespace", "resource", "kind"}
)
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["restart_pod", "rollback_deployment", "production", "web-1", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=30,
)
objects = st.dictionaries(st.sampled_from(KEYS), documents, max_size=8)
ASKED = Asked(Task.ENHANCE, question())


def settles(said: Said) -> None:
    """It is a draft or flaws, and both hold only what they may."""
    assert said.tokens is None or said.tokens >= 0
    assert said.cost is None or said.cost >= 0
    found = judge(said, ASKED)
    if isinstance(found, Draft):
        assert {one.candidate for one in found.picks} <= {one.name for one in ASKED.question.candidates}


@given(objects)
def test_completions(document: dict[str, Any]) -> None:
    """OpenAI's language."""
    settles(openai_compatible._said(Heard(200, json.dumps(document).encode()), "prompt"))


@given(objects, st.booleans())
def test_answers_of_holmes(document: dict[str, Any], seen: bool) -> None:
    """HolmesGPT's."""
    settles(holmesgpt._said(document, "prompt", seen=seen))
    assert holmesgpt._any_succeeded(document.get("tool_calls")) in {True, False}
    assert isinstance(holmesgpt._names(document.get("model")), frozenset)


@given(objects)
def test_answers_of_kubernaut(document: dict[str, Any]) -> None:
    """Kubernaut's AI service: every proposal becomes an entry that is taken or refused."""
    about = ASKED.question
    picks = [kubernaut_wire.pick_from(one, about) for one in kubernaut_wire.proposals(document)]
    suggested = [
        kubernaut_wire.suggestion_from(action, about, one.get("explanation"))
        for one, action in kubernaut_wire.recommended(document)
    ]
    cause, summary = kubernaut_wire.summary(document)
    answer: dict[str, Any] = {"picks": picks[:3], "suggested": suggested[:5], "root_cause": cause, "summary": summary}
    answer["confidence_percent"] = kubernaut_wire.percent(document.get("confidence"))
    found = check(answer, Task.ENHANCE, about)
    assert isinstance(found, Draft) or found
    assert isinstance(kubernaut_wire.root_cause(document), str)


@given(st.integers(100, 599), st.binary(max_size=300) | objects.map(lambda one: json.dumps(one).encode()))
def test_errors(status: int, body: bytes) -> None:
    """Every status with every body is an error in words of ours, on one line."""
    heard = Heard(status, body)
    assert heard.away().reason
    assert "\n" not in str(heard.away())


@pytest.mark.parametrize(
    ("header", "found"), [("0", 0.0), ("3600", 3600.0), ("-1", None), ("soon", None), ("9" * 9, None), (None, None)]
)
def test_retry_after(header: str | None, found: float | None) -> None:
    """Seconds count; dates and nonsense do not."""
    assert _seconds(header) == found


def test_a_key_is_never_repeated() -> None:
    """What a server says about a key is cleaned before it is kept."""
    body = orjson.dumps({"error": {"message": "Incorrect API key provided: sk-hunter2hunter2hunter2"}})
    assert "hunter2" not in str(Heard(401, body).away())
