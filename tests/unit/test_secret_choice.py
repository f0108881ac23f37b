"""Which secret is used is said by the text of a rule or template, and by nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support.questions import answer, pick, question
from tests.unit.factories import a_plan, a_step, an_action
from tests.unit.template_cases import flaws_of, read, small
from workflow_service.domain.advice import Candidate, Task, choosable
from workflow_service.domain.answer_checks import check
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import InvalidPlan
from workflow_service.domain.expressions import EvaluationFailed, Type
from workflow_service.domain.interpolation import interpolate, settle
from workflow_service.domain.plan import Action, Step, StepKind
from workflow_service.domain.revision import revised
from workflow_service.domain.states import Verb
from workflow_service.planning.deriving import ordered, violations
from workflow_service.planning.library import known_actions

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-007")

REFERENCE = {"secretRef": {"name": "hook-login", "key": "header"}}
HEADERS = {"Authorization": REFERENCE}
OBJECT = """
  parameters: {type: object, properties: {h: {type: object, default: {}}, s: {type: string, default: x}}}"""
CALL = """
  - id: call
    action: call_webhook
    with:
      url: https://hooks.example.org/x
      headers: HEADERS"""
CALLS = a_step(
    "call", action=an_action(type="call_webhook", parameters={"url": "https://a.example", "headers": HEADERS})
)
TELLS = a_step("tell", action=an_action(type="notify_team", parameters={"message": "hello"}))
BACK = replace(TELLS, id="back", rollback=Action("call_webhook", {"url": "https://a.example", "headers": HEADERS}))
GROUP = Step(id="heal", kind=StepKind.TEMPLATE, steps=(CALLS,), parameters={"size": 1})
PLAN = a_plan(CALLS, TELLS, BACK, GROUP)


@pytest.mark.parametrize(
    ("headers", "at"),
    [
        ('"${{ params.h }}"', "headers"),
        ('{X-L: "${{ params.h }}"}', "headers.X-L"),
        ('{X-L: "{alert}"}', "headers.X-L"),
        ("{X-L: {observed: login}}", "headers.X-L"),
    ],
)
def test_nothing_in_a_template_chooses_a_secret(headers: str, at: str) -> None:
    """Where an action takes a secret neither an expression, a placeholder nor an observation may stand."""
    call = CALL.replace("HEADERS", headers) + ("\n    on: target" if "observed" in headers else "")
    found = flaws_of(small(spec=OBJECT, steps=call))
    assert (f"spec.steps.0.with.{at}", True) in [(one.field, "must be written out" in one.rule) for one in found], found


def test_other_parameters_of_the_same_action_may_be_worked_out() -> None:
    """Only what takes a secret is kept as it is written."""
    call = CALL.replace("HEADERS", "{A: {secretRef: {name: a, key: b}}}") + '\n      payload: {a: "${{ params.s }}"}'
    assert flaws_of(small(spec=OBJECT, steps=call)) == ()


@pytest.mark.parametrize("work_out", [interpolate, settle])
@pytest.mark.parametrize(
    "value",
    [
        "${{ params.h }}",
        {"X": "${{ params.h.Authorization }}"},
        "${{ {'X-L': {'secretRef': {'name': params.name, 'key': 'k'}}} }}",
        {"X": {"secretRef": "${{ params.h.Authorization.secretRef }}"}},
        {"X": {"secretRef": {"name": "${{ params.name }}", "key": "k"}}},
    ],
)
def test_no_value_that_is_worked_out_is_a_secret(work_out: Any, value: Any) -> None:
    """Whatever a plan says, a step with one fails before anything is ordered."""
    scope = {"params.h": Type.DYN, "params.name": Type.STRING}
    with pytest.raises(EvaluationFailed, match="secretRef"):
        work_out(value, scope, {"params.h": HEADERS, "params.name": "hook-login"})


def test_no_order_holds_a_secret() -> None:
    """A parameter with one is refused by its name, however deep it is."""
    template = read(small(spec=OBJECT))
    broken = violations(template, ordered(template, {"h": {"deep": [HEADERS]}, "s": "x"}).values)
    assert [(one.field, "secretRef" in one.rule) for one in broken] == [("parameters.h", True)]


@pytest.mark.parametrize(
    ("patch", "fields"),
    [
        ({"tell": {"message": "hi", "extra": HEADERS}}, ["parameters.tell.extra"]),
        ({"tell": {"secretRef": {"name": "a", "key": "b"}}}, ["parameters.tell.secretRef"]),
        (
            {"call": {"url": "https://evil.example", "headers": HEADERS}},
            ["parameters.call.url", "parameters.call.headers"],
        ),
        ({"call": {"payload": {}}}, ["parameters.call.payload"]),
        ({"back": {"message": "hi"}}, ["parameters.back.message"]),
        ({"heal": {"size": 2}}, ["parameters.heal.size"]),
        ({"heal/call": {"url": "https://evil.example"}}, ["parameters.heal/call.url"]),
    ],
)
def test_no_retry_chooses_a_secret_or_its_receiver(patch: Mapping[str, Mapping[str, Any]], fields: list[str]) -> None:
    """Neither a reference by hand, nor other parameters for a step (or one inside it) that uses one."""
    command = Command("c-1", Verb.RETRY, "ana", "", {"parameters": patch})
    with pytest.raises(InvalidPlan) as refused:
        revised(PLAN, command, None)
    assert [one.field for one in refused.value.violations] == fields


def test_a_retry_of_a_step_without_secrets_may_say_something_else() -> None:
    """The other steps of a plan with secrets take parameters as ever."""
    command = Command("c-1", Verb.RETRY, "ana", "", {"parameters": {"tell": {"message": "hi"}}})
    assert revised(PLAN, command, None).step("tell").given_parameters == {"message": "hi"}


def test_no_advisor_names_a_secret() -> None:
    """No parameter that takes one is offered, and an answer with one is refused even where the schema is open."""
    for entry in known_actions().actions.values():
        assert {"headers", "secret_env"}.isdisjoint(choosable(entry.parameters, entry.parameters["properties"].keys()))
    open_ = Candidate("call", "", ("call_webhook",), parameters={"payload": {"type": "object"}})
    document = answer(pick(candidate="call", parameters={"payload": {"a": [HEADERS]}}), suggested=[])
    found = check(document, Task.SELECT, question(candidates=(open_,)))
    assert isinstance(found, tuple)
    assert [(one.at, "secretRef" in one.rule) for one in found] == [("picks.0.parameters.payload", True)]
