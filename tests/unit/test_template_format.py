"""The format of templates: what becomes of each key, and where exactly each flaw is."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from docs import generate_known_actions, generate_template_schema

from tests.unit.template_cases import KNOWN, WHOLE, flaws_of, read, ref, small
from workflow_service.__main__ import main
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.plan import OnFailure, OnResolved, RetryPolicy, StepKind
from workflow_service.domain.template import Lifecycle, Reference
from workflow_service.planning import template_schema
from workflow_service.planning.template_file import InvalidTemplate, source, template

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-002", "BR-WF-026", "BR-WF-028")


def test_every_key_reaches_the_template() -> None:
    """Steps as a rule has them, with matching, parameters and their sources around them."""
    found = read(WHOLE)
    assert (found.reference, found.lifecycle) == (Reference("crashloop-rollback", "1.2.0"), Lifecycle.ACTIVE)
    assert found.match is not None
    assert (found.match.alertnames, found.match.environments, found.match.namespaces) == (
        ("KubePodCrash*",),
        ("production",),
        ("prod*",),
    )
    assert (found.rule.when.severities, found.rule.when.owners) == (("critical", "high"), ("Deployment",))
    assert found.derive["deployment"] == ("alert.labels['deployment']", "owner.name")
    assert (found.timeout, found.rule.on_resolved, found.rule.name) == (
        900.0,
        OnResolved.STOP,
        "crashloop-rollback@1.2.0",
    )
    diagnose, back, restart, page, note = found.rule.actions
    assert [one.needs for one in found.rule.actions] == [(), ("diagnose",), (), ("back",), ()]
    assert (back.type, back.on, back.retries, back.retry) == (
        "rollback_deployment",
        "owner",
        2,
        RetryPolicy(first_delay=2),
    )
    assert back.rollback is not None
    assert back.rollback.parameters["revision"] == "${{ result.from }}"
    assert (back.alternative, restart.type, page.critical, note.type) == (
        "restart",
        "restart_pod",
        False,
        "log_incident",
    )
    assert (diagnose.timeout, back.postconditions[0].within) == (60.0, 180.0)
    assert (found.rule.verify[0].kind, found.rule.last[0].id) == (StepKind.CHECK, "close")


def test_stop_is_the_answer_of_what_says_nothing_itself() -> None:
    """`onFailure: stop` holds for critical steps without an answer or an alternative of their own."""
    rule = read(WHOLE.replace("  timeout: 15m", "  onFailure: stop")).rule
    answers = {one.id: one.on_failure for one in rule.actions}
    stopped = ("restart", "note")
    assert answers == {one.id: OnFailure.STOP if one.id in stopped else None for one in rule.actions}


@pytest.mark.parametrize(
    ("old", "new", "pointed", "field", "says"),
    [
        ("maxAttempts", "maxAtempts", "maxAtempts", "spec.steps.1.retry.maxAtempts", "known are backoff"),
        ("retry: {max", "retries: 2\n    retry: {max", "retries", "spec.steps.1.retries", "is not known here"),
        ("timeout: 15m\n  onR", "timeout: soon\n  onR", "timeout: soon", "spec.timeout", "does not match"),
        ("version: 1.2.0", "version: v1.2", "version: v1.2}", "metadata.version", "does not match"),
        ("onResolved: stop", "onResolved: wait", "onResolved", "spec.onResolved", "is not one of"),
        (
            "    whenToUse: its pods crash right after a rollout\n",
            "",
            "description",
            "spec.description",
            "is a required",
        ),
        ("default: 5}", "default: 500}", "default: 500", "spec.parameters.properties.min_restarts.default", "greater"),
        (
            "default: 5}",
            "maxLength: 5}",
            "min_restarts: {",
            "spec.parameters.properties.min_restarts",
            "needs a `default`",
        ),
        ("number, default: 0.5", "numbr", "type: numbr", "spec.parameters.properties.share.type", "no JSON Schema"),
        ("share: {", "a-share: {", "a-share", "spec.parameters.properties.a-share", "cannot be named"),
        ("namespace, deployment]", "namespace, name]", "required", "spec.parameters.required", "is not among"),
        (", owner.name]", ", owner.nam]", "owner.nam]", "spec.derive.deployment.1", "undeclared reference"),
        (
            "namespace: alert.names",
            "namespace: alert.labels #",
            "namespace: alert.l",
            "spec.derive.namespace",
            "a string",
        ),
        ("namespace: alert.names", "nowhere: alert.names", "nowhere", "spec.derive.nowhere", "is no parameter"),
        ("params.min_restarts < 10", "params.min_restarts", 'when: "', "spec.match.when", "'_&&_'"),
        (
            "name: params.deployment}",
            "name: params.share}",
            "name: params.share",
            "spec.target.name",
            "must give a string",
        ),
        ("namespace: params.namespace, name", "name", "target", "spec.target", "needs `namespace`"),
        ("restarts > 3", "restarts > 'x'", "when: steps", "spec.steps.1.when", "no matching overload"),
        ("restarts > 3", "restart > 3", "when: steps", "spec.steps.1.when", "undeclared reference"),
        (
            "observed.crash_looping",
            "seen.crash",
            "expression: seen",
            "spec.verify.0.postconditions.0.expression",
            "seen",
        ),
        (
            "check, on: owner,",
            "check,",
            "{expression: observed.crash",
            "spec.verify.0.postconditions.0.on",
            "must be given",
        ),
        ("result.from", "resul.from", "revision", "spec.steps.1.rollback.with.revision", "undeclared"),
        ("alternative: restart", "alternative: page2", "alternative", "spec.steps.1.alternative", "another step"),
        ("needs: []", "needs: [pag]", "needs", "spec.steps.4.needs", "is no step beside it"),
        ("id: note", "id: page", "id: page, action: log", "spec.steps.4.id", "of an earlier step too"),
        ("id: note", "id: Note", "id: Note", "spec.steps.4.id", "does not match"),
        ("restart_pod", "reboot_world", "action: reboot", "spec.steps.2.action", "is no action of the executor's"),
        ("    action: restart_pod\n", "", "id: restart", "spec.steps.2", "needs `action`"),
        ("type: deployment}", "type: car}", "resource_type", "spec.steps.2.with.resource_type", "breaks restart_pod"),
        ("{alert}: rolled", "{alrt}: rolled", 'message: "{alrt}', "spec.steps.3.with.message", "is no placeholder"),
        ("kind: WorkflowTemplate", "kind: Workflow", "kind: Workflow", "kind", "must be WorkflowTemplate"),
        ("  onResolved: stop", "  timeout: 16m", "timeout: 16m", "spec.timeout", "is given twice"),
    ],
)
def test_each_flaw_is_shown_where_it_is(old: str, new: str, pointed: str, field: str, says: str) -> None:
    """Every broken copy is refused, with line and column of the very key or item, its field and the rule."""
    assert old in WHOLE
    text = WHOLE.replace(old, new, 1)
    found = flaws_of(text)
    before = text[: text.index(pointed)]
    at = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert any((one.line, one.column, one.field) == (*at, field) and says in one.rule for one in found), (at, found)


CALLS = """
  - id: call
    action: call_webhook
    with:
      url: https://hooks.example.org/x
      headers: {Authorization: {secretRef: {name: hook-login, key: header}}}"""


def test_a_parameter_may_refer_to_a_secret() -> None:
    """Where the action's schema has a place for one; what is planned is the reference."""
    [step] = read(small(steps=CALLS)).rule.actions
    assert step.parameters["headers"] == {"Authorization": {"secretRef": {"name": "hook-login", "key": "header"}}}


@pytest.mark.parametrize(
    ("old", "new", "field", "says"),
    [
        ("key: header", "key: header, as: x", "headers.Authorization.secretRef", "'as' was unexpected"),
        (", key: header", "", "headers.Authorization.secretRef", "'key' is a required property"),
        ("hook-login", '"{name}"', "headers.Authorization.secretRef.name", "does not match"),
        ("hook-login", '"${{ alert.name }}"', "headers.Authorization.secretRef.name", "does not match"),
        ("name: hook-login", "name: 7", "headers.Authorization.secretRef.name", "is not of type 'string'"),
        (
            "{secretRef: {name: hook-login, key: header}}",
            "Bearer x",
            "headers.Authorization",
            "is not of type 'object'",
        ),
        ("url: https://hooks.example.org/x", "url: {secretRef: {name: a, key: b}}", "url", "is not of type 'string'"),
    ],
)
def test_a_secret_is_chosen_by_the_file_alone(old: str, new: str, field: str, says: str) -> None:
    """Neither an alert nor an expression chooses it, and it stands only where the action takes one."""
    flaws = flaws_of(small(steps=CALLS.replace(old, new)))
    assert [(one.field, says in one.rule) for one in flaws] == [(f"spec.steps.0.with.{field}", True)], flaws


def test_a_template_is_bounded() -> None:
    """64 KB of text, and no alias that writes out to billions of values."""
    assert "at most 65536 bytes" in flaws_of(WHOLE + "#" * 65536)[0].rule
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "more than 100000 values" in flaws_of("l0: &l0 [x]\n" + levels)[0].rule


def test_the_published_schema_is_the_one_that_is_used() -> None:
    """What editors load is generated from what lint asks; it is a schema, and the whole example keeps it."""
    published = json.loads(generate_template_schema.PAGE.read_text(encoding="utf-8"))
    assert published == template_schema.SCHEMA
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.Draft202012Validator(published).validate(yaml.safe_load(WHOLE.replace("on: owner", "'on': owner")))


def test_the_known_actions_are_those_of_the_executor() -> None:
    """Lint without a cluster asks the same schemas that the executor does."""
    assert generate_known_actions.PAGE.read_text(encoding="utf-8") == generate_known_actions.render()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("version: 1.0.0}", "version: 1.0.0, lifecycle: deprecated}"), True),
        (("kind: Work", "# a word\nkind: Work"), True),
        (("whenToUse: always", "whenToUse: often"), False),
        (("notify_team", "notify_oncall"), False),
    ],
)
def test_a_digest_tells_texts_apart_that_do_something_else(change: tuple[str, str], same: bool) -> None:
    """Comments and the lifecycle may change; nothing else may without a new digest."""
    assert (read(small()).digest == read(small().replace(*change)).digest) is same


def test_lint_tells_people_and_programs(tmp_path: Path) -> None:
    """Exit 0 when all is sound; else 1, a line per flaw on stderr, and all of it as JSON."""
    (tmp_path / "a.yaml").write_text(WHOLE, encoding="utf-8")
    good = CliRunner().invoke(main, ["template", "lint", str(tmp_path)])
    assert (good.exit_code, good.stdout) == (0, "1 sound, 0 flaws\n")
    (tmp_path / "b.yaml").write_text(small(spec="\n  timout: 5m"), encoding="utf-8")
    bad = CliRunner().invoke(main, ["template", "lint", str(tmp_path)])
    assert (bad.exit_code, bad.stdout) == (1, "1 sound, 1 flaws\n")
    assert bad.stderr.startswith("b.yaml:6:3: spec.timout: '5m' is not known here")
    told = json.loads(CliRunner().invoke(main, ["template", "lint", "-o", "json", str(tmp_path / "b.yaml")]).stdout)
    assert told["templates"] == []
    assert told["flaws"][0] | {"file": "", "rule": ""} == {
        "file": "",
        "line": 6,
        "column": 3,
        "field": "spec.timout",
        "value": "5m",
        "rule": "",
    }


def test_lint_takes_the_catalogue_of_a_cluster(tmp_path: Path) -> None:
    """What that executor does not offer is a flaw; a file that is no catalogue is refused."""
    (tmp_path / "a.yaml").write_text(small(), encoding="utf-8")
    catalogue = tmp_path / "catalogue.json"
    for text, code in (('{"digest": "d", "actions": [{"type": "log_incident"}]}', 1), ("[]", 1), ("{", 1)):
        catalogue.write_text(text, encoding="utf-8")
        ran = CliRunner().invoke(main, ["template", "lint", str(tmp_path), "--catalogue", str(catalogue)])
        assert ran.exit_code == code
        assert "there is no notify_team" in ran.stderr or "must be what the executor answers" in str(ran.output)


# --- templates made of others

BASE = small(
    "base",
    spec="""
  match: {alertname: [A]}
  parameters:
    type: object
    properties: {size: {type: integer, default: 1}, why: {type: string, default: because}}
  verify:
  - {id: calm, kind: wait, wait: 1s}""",
    steps="""
  - {id: look, action: collect_diagnostics, with: {namespace: default}}
  - {id: tell, action: notify_team, with: {message: "${{ params.why }} ${{ params.size }}"}}""",
)


def test_a_child_says_its_own_over_what_it_extends() -> None:
    """Steps of the same id are one, key by key; new ones come after, and needs are those of the order they stood in."""
    child = small(
        "child",
        spec="\n  extends: base@1.0.0\n  parameters: {type: object, properties: {size: {type: integer, default: 7}}}",
    )
    child = child.replace(
        'action: notify_team, with: {message: "{alert}"}}', "critical: false}\n  - {id: rest, kind: wait, wait: 5s}"
    )
    found = read(child, BASE)
    assert [(one.id, one.type, one.critical, one.needs) for one in found.rule.actions] == [
        ("look", "collect_diagnostics", True, ()),
        ("tell", "notify_team", False, ("look",)),
        ("rest", "", True, ("tell",)),
    ]
    assert found.match is not None
    assert (found.match.alertnames, found.rule.verify[0].id) == (("A",), "calm")
    assert {name: one["default"] for name, one in found.parameters["properties"].items()} == {
        "size": 7,
        "why": "because",
    }
    assert found.made_of == (ref("base"),)


def test_a_flaw_of_an_inherited_step_is_shown_where_it_can_be_mended() -> None:
    """One of the file's own step at that step, whatever its place among all; one of another's step at `extends`."""
    child = small(
        "child", spec="\n  extends: small@1.0.0", steps="\n  - {id: note, action: log_incident, with: {message: 7}}"
    )
    assert [(one.field, one.line) for one in flaws_of(child, small())] == [("spec.steps.0.with.message", 8)]
    parent, sound = source("small.yaml", small()), source("child.yaml", child.replace("7", "x"))
    silent = Catalogue("sha256:less", {name: one for name, one in KNOWN.actions.items() if name != "notify_team"})
    with pytest.raises(InvalidTemplate) as refused:
        template(sound, {parent.reference: parent.document}.get, silent)
    assert [(one.field, one.line, one.value) for one in refused.value.flaws] == [("spec.extends", 6, "notify_team")]


def test_a_step_can_be_another_template() -> None:
    """Its steps, what verifies it after them, its defaults under what is given."""
    found = read(small(steps="\n  - {id: inner, template: base@1.0.0, with: {size: 3}}"), BASE)
    [inner] = found.rule.actions
    assert (inner.kind, inner.parameters) == (StepKind.TEMPLATE, {"size": 3, "why": "because"})
    assert [(one.id, one.needs) for one in inner.steps] == [
        ("look", ()),
        ("tell", ("look",)),
        ("calm", ("look", "tell")),
    ]


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        (small(spec="\n  extends: nobody@1.0.0"), "spec.extends", "is not known here"),
        (small("base", "2.0.0", spec="\n  extends: loop@1.0.0"), "spec.extends", "in a circle"),
        (small(steps="\n  - {id: a, template: nobody@1.0.0}"), "spec.steps.0.template", "is not known here"),
        (
            small(steps="\n  - {id: a, template: base@1.0.0, with: {sise: 1}}"),
            "spec.steps.0.with.sise",
            "is no parameter",
        ),
        (small(steps="\n  - {id: a, template: needy@1.0.0}"), "spec.steps.0", "is needed by it"),
        (small(steps="\n  - {id: a, template: last@1.0.0}"), "spec.steps.0.template", "has `finally`"),
        (small(steps="\n  - {id: a, template: self@1.0.0}"), "spec.steps.0", "in a circle"),
        (
            small(steps="\n  - {id: a, kind: wait, wait: 1, template: base@1.0.0}"),
            "spec.steps.0.template",
            "belongs to",
        ),
    ],
)
def test_what_cannot_be_made_of_others_is_named(text: str, field: str, says: str) -> None:
    """Unknown versions, circles, parameters that are wrong or missing, `finally` inside of another."""
    needy = small("needy", spec="\n  parameters: {type: object, required: [x], properties: {x: {type: string}}}")
    last = small("last", spec="\n  finally: [{id: z, kind: wait, wait: 1}]")
    itself = small("self", steps="\n  - {id: again, template: self@1.0.0}")
    loop = small("loop", spec="\n  extends: loop@1.0.0")
    found = flaws_of(text, BASE, needy, last, itself, loop)
    assert [one for one in found if one.field.startswith(field) and says in one.rule], [str(one) for one in found]
