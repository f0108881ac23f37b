"""Templates are tried without any service: the real planner and `decide`, a scripted executor, and time that jumps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from workflow_service.__main__ import main
from workflow_service.rehearsal.trying import Tried, attempt

pytestmark = pytest.mark.requirement("BR-WF-001")

TEMPLATE = """\
apiVersion: workflow.kubernaut.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: grow, version: 1.0.0}
spec:
  description: {what: gives it one replica more, whenToUse: it is busy}
  match: {alertname: [Busy], owners: [Deployment]}
  parameters:
    type: object
    required: [namespace, deployment, replicas]
    properties: {namespace: {type: string}, deployment: {type: string}, replicas: {type: integer}}
  derive: {namespace: target.namespace, deployment: owner.name, replicas: "int(owner.facts.replicas) + 1"}
  target: {kind: Deployment, namespace: params.namespace, name: params.deployment}
  steps:
  - {id: look, action: collect_diagnostics, critical: false, with: {namespace: "${{ params.namespace }}"}}
  - id: undo                # an id that keys of undos look like
    action: scale_deployment
    on: owner
    approval: {when: params.replicas > 5, timeout: 30m}
    with:
      namespace: "${{ params.namespace }}"
      resource_name: "${{ params.deployment }}"
      replicas: "${{ params.replicas }}"
    postconditions: [{expression: observed.ready_replicas >= 3, message: not ready, within: 5m, poll: 30s}]
  - {id: tell, action: notify_team, critical: false, with: {message: "{alert}"}}
  verify:
  - {id: calm, kind: check, timeout: 2m, postconditions: [{expression: observed.value < 0.5, promql: busy}]}
"""
HEALS = """\
apiVersion: workflow.kubernaut.io/v1alpha1
kind: TemplateTest
cases:
- name: it heals
  alert: {name: Busy, severity: high, namespace: shop, labels: {pod: web-1}}
  cluster:
    Pod/shop/web-1: {owners: [Deployment/shop/web], facts: {ready: true}}
    Deployment/shop/web: {facts: {replicas: 2, ready_replicas: 2}}
  metrics: {busy: {value: 0.9}}
  answers:
    look: [{fails: transient, message: busy}, {}]
    undo: [{takes: 2m, sees: {Deployment/shop/web: {ready_replicas: 3}, busy: {value: 0.2}}}]
  expect:
    template: grow@1.0.0
    parameters: {replicas: 3}
    sent: {undo: {replicas: 3}}
    order: [look, undo, tell]
    skipped: [approve_undo]
    undo: []
    status: completed
"""


def tried(directory: Path, *tests: str, template: str = TEMPLATE) -> Tried:
    """What becomes of these tests."""
    (directory / "grow.yaml").write_text(template, encoding="utf-8")
    for index, text in enumerate(tests):
        (directory / f"{index}.test.yaml").write_text(text, encoding="utf-8")
    return attempt(directory)


def test_a_plan_is_played_to_its_end(tmp_path: Path) -> None:
    """Matching, parameters, a retry, a wait of minutes, evidence from the cluster and from metrics: in no time."""
    [verdict] = tried(tmp_path, HEALS).verdicts
    assert verdict.wrong == ()
    assert verdict.happened["status"] == "completed"


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("ready_replicas: 3}", "ready_replicas: 2}", "status: expected completed, got rolled_back"),
        ("ready_replicas: 3}", "ready_replicas: 2}", "undo: expected [], got ['undo']"),
        ("busy: {value: 0.2}", "busy: {value: 0.7}", "undo: expected [], got ['undo']"),
        ("look, undo, tell]", "undo, look, tell]", "order: expected ['undo', 'look', 'tell']"),
        ("name: Busy,", "name: Odd,", "template: expected grow@1.0.0, got"),
        (
            "replicas: 3}\n    sent",
            "replicas: 4}\n    sent",
            "parameters: expected {'replicas': 4}, got {'replicas': 3}",
        ),
        ("{undo: {replicas: 3}}", "{undo: {replicas: 9}}", "sent: expected"),
        ("{replicas: 2, ready", "{replicas: 7, ready", "skipped: expected ['approve_undo'], got []"),
    ],
)
def test_whatever_turns_out_otherwise_fails(tmp_path: Path, old: str, new: str, wrong: str) -> None:
    """Each expectation can fail, and says what was expected and what happened."""
    assert old in HEALS
    [verdict] = tried(tmp_path, HEALS.replace(old, new)).verdicts
    assert [line for line in verdict.wrong if line.startswith(wrong)], verdict.wrong


def test_people_speak_as_the_test_says(tmp_path: Path) -> None:
    """An approval is given, refused, or nobody is there for half an hour; what was not begun is not undone."""
    asked = HEALS.replace("{replicas: 2, ready", "{replicas: 7, ready").replace("replicas: 3", "replicas: 8")
    asked = asked.replace("ready_replicas: 8", "ready_replicas: 3").replace("    skipped: [approve_undo]\n", "")
    silent = asked.replace("  expect:", "  people: {approve_undo: nobody}\n  expect:")
    refused = silent.replace("nobody", "reject")
    found = tried(tmp_path, asked, silent, refused).verdicts
    assert [(one.happened["status"], one.happened["reason"], one.happened["order"]) for one in found] == [
        ("completed", "all_steps_succeeded", ["look", "undo", "tell"]),
        ("rejected", "approval_expired", ["look"]),
        ("rejected", "approval_rejected", ["look"]),
    ]


@pytest.mark.parametrize(
    ("spec", "step", "undone"),
    [("", "", []), ("  onFailure: rollback\n", "", ["undo"]), ("", ", onFailure: rollback", ["undo"])],
    ids=["nothing said", "by the template", "by the step"],
)
def test_what_was_done_before_a_question_nobody_answers(
    tmp_path: Path, spec: str, step: str, undone: list[str]
) -> None:
    """It stays, unless template or step have said in so many words that it is undone."""
    more = """\
  - id: more
    action: scale_deployment
    on: owner
    approval: {timeout: 10s}STEP
    with: {namespace: "${{ params.namespace }}", resource_name: "${{ params.deployment }}", replicas: 9}
  verify:
""".replace("STEP", step.replace(", ", "\n    "))
    template = TEMPLATE.replace("  verify:\n", more).replace("  steps:\n", f"{spec}  steps:\n", 1)
    nobody = HEALS.replace("  expect:", "  people: {approve_more: nobody}\n  expect:")
    [found] = tried(tmp_path, nobody, template=template).verdicts
    assert (found.happened["reason"], found.happened["undo"]) == ("approval_expired", undone)


def test_an_undo_can_fail_too(tmp_path: Path) -> None:
    """What the test says about undos decides whether the rollback is complete."""
    text = HEALS.replace("ready_replicas: 3}", "ready_replicas: 2}").replace(
        "  expect:", "  undos: {undo: [{fails: conflict}]}\n  expect:"
    )
    [verdict] = tried(tmp_path, text).verdicts
    assert (verdict.happened["status"], verdict.happened["undo"]) == ("failed", ["undo"])


def test_an_order_can_be_tried(tmp_path: Path) -> None:
    """Without any alert, with parameters; wrong ones fail the test."""
    given = "order: {template: grow, parameters: {namespace: shop, deployment: web, replicas: 3}}"
    old = "alert: {name: Busy, severity: high, namespace: shop, labels: {pod: web-1}}"
    [verdict] = tried(tmp_path, HEALS.replace(old, given)).verdicts
    assert verdict.wrong == ()
    [verdict] = tried(tmp_path, HEALS.replace(old, given.replace("replicas: 3", "replicas: x"))).verdicts
    assert "parameters.replicas" in verdict.wrong[0]


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "says"),
    [
        ("status: completed", "status: fine", 20, "cases.0.expect.status", "enum"),
        ("  answers:", "  anwers:", 4, "cases.0", "anwers"),
        ("fails: transient", "fails: sometimes", 11, "cases.0.answers.look.0.fails", "permanent"),
        ("Pod/shop/web-1:", "web-1:", 6, "cases.0.cluster", "must be kind/namespace/name"),
        ("  alert: {name: Busy,", "  alert: {nam: Busy,", 5, "cases.0.alert", "name must"),
        ("  alert:", "  order: {template: x}\n  alert:", 4, "cases.0", "either `alert` or `order`"),
        ("cases:", "cases: [", 4, "template", "is not YAML"),
    ],
)
def test_a_flaw_of_a_test_is_shown_where_it_is(
    tmp_path: Path, old: str, new: str, line: int, field: str, says: str
) -> None:
    """File, line, field and rule; nothing is run."""
    assert old in HEALS
    found = tried(tmp_path, HEALS.replace(old, new, 1))
    assert found.verdicts == ()
    there = [one for one in found.flaws if (one.line, one.field) == (line, field) and says in one.rule]
    assert there, found.flaws


def test_the_command_tells_people_and_programs(tmp_path: Path) -> None:
    """Exit 0 when all pass, 1 when one fails, a template has a flaw, or there are no tests."""
    tried(tmp_path, HEALS)
    good = CliRunner().invoke(main, ["template", "test", str(tmp_path)])
    assert (good.exit_code, good.output.splitlines()[-1]) == (0, "1 passed, 0 failed")
    (tmp_path / "grow.test.yaml").write_text(HEALS.replace("undo: []", "undo: [undo]"), encoding="utf-8")
    bad = CliRunner().invoke(main, ["template", "test", "-v", str(tmp_path / "grow.yaml")])
    assert (bad.exit_code, "undo: expected ['undo'], got []" in bad.output, "considered: []" in bad.output) == (
        1,
        True,
        True,
    )
    told = json.loads(CliRunner().invoke(main, ["template", "test", "-o", "json", str(tmp_path)]).stdout)
    assert [one["passed"] for one in told["tests"]] == [True, False]
    tried(tmp_path, template=TEMPLATE.replace("steps:", "stps:"))
    assert CliRunner().invoke(main, ["template", "test", str(tmp_path)]).exit_code == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert CliRunner().invoke(main, ["template", "test", str(empty)]).exit_code == 1
