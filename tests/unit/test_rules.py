"""The rule file: what an operator may write, how keywords find an alert, and how every flaw is named."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.planning_cases import CATALOGUE, MINIMAL, RULES, plan_for, types
from workflow_service.domain.errors import InvalidRules, Violation
from workflow_service.planning.rule_file import load_rules, read_rules
from workflow_service.planning.rules import contains, words

# --- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HighCPUUsage", "high cpu usage"),
        ("KubePodCrashLooping", "kube pod crash looping"),
        ("OOMKilled", "oom killed"),
        ("node-not_ready", "node not ready"),
        ("http5xxRate", "http 5xx rate"),
        ("CPU at 97%", "cpu at 97"),
    ],
)
def test_names_are_split_into_words(text: str, expected: str) -> None:
    """CamelCase, hyphens and sentences alike."""
    assert words(text) == expected


def test_keywords_are_whole_words_unless_they_end_with_a_star() -> None:
    """`node` is not in nodejs; `crash*` is in crashing; several words must follow each other."""
    assert not contains(words("nodejs"), ("node",))
    assert contains(words("it is crashing"), ("crash*",))
    assert contains(words("NodeNotReady"), ("not ready",))
    assert not contains(words("ready or not"), ("not ready",))
    assert contains(words("DiskFull"), ("Disk-Full",))
    assert not contains(words("anything"), ())


# --- the file


def flaws(text: str) -> list[Violation]:
    """What is wrong with a rule file."""
    with pytest.raises(InvalidRules) as refused:
        load_rules(text)
    return list(refused.value.violations)


def test_the_shipped_rules_use_only_what_the_executor_offers() -> None:
    """Every action type of our file is in our executor's catalogue."""
    assert {action.type for rule in RULES.rules for action in rule.actions} <= set(CATALOGUE.actions)


def test_an_operators_file_replaces_ours(tmp_path: Path) -> None:
    """The named file is used, aliases of action types included, and the plan tells which file made it."""
    path = tmp_path / "rules.yaml"
    path.write_text(MINIMAL)
    rules = read_rules(path)
    plan = plan_for(rules=rules)
    assert (plan.rule, types(plan)) == ("one", ["notify_team"])
    assert plan.metadata["workflow_version"] == rules.version != RULES.version


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """No traceback for a wrong path or for a file that is not text."""
    with pytest.raises(InvalidRules, match=r"absent\.yaml"):
        read_rules(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidRules, match=r"binary\.yaml"):
        read_rules(tmp_path / "binary.yaml")


def test_every_flaw_is_named_with_its_line() -> None:
    """An operator repairs the file in one go."""
    text = """\
version: 1
rules:
- name: one
  reason: because
  actions:
  - {id: a, type: x, needs: [gone], parameters: {m: "{nonsense}"}}
  - {id: a, type: x, alternative: a, on_failure: skip}
  - id: b
    type: x
    on_failure: alternative
- name: one
  reason: because
  actions:
  - {id: a, type: x, needs: [b]}
  - {id: b, type: x, needs: [a], parameters: {n: {observed: replicas, plus: many}}}
"""
    found = [(violation.field, violation.rule.split(";")[0]) for violation in flaws(text)]
    assert ("rules.0.actions.0.needs (line 6)", "is no step beside it") in found
    assert ("rules.0.actions.0.parameters.m (line 6)", "is no placeholder") in found
    assert ("rules.0.actions.1.id (line 7)", "is the id of an earlier step too") in found
    assert ("rules.0.actions.1.on_failure (line 7)", "must be alternative where there is an `alternative`") in found
    assert ("rules.0.actions.2.on_failure (line 10)", "needs an `alternative`") in found
    assert ("rules.1.name (line 11)", "is the name of an earlier rule too") in found
    assert ("rules.1.actions (line 14)", "wait for each other in a cycle") in found
    assert any(field == "rules.1.actions.1.parameters.n.plus (line 15)" for field, _ in found)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "rule file"),
        ("version: 2\nrules: []", "version (line 1)"),
        ("version: 1\nrules:\n- nme: x", "rules.0 (line 3)"),
        (MINIMAL.replace("reason: because", "reason: 5"), "rules.0.reason (line 5)"),
        (MINIMAL + "  when: {keywords: [ok, '*']}", "rules.0.when.keywords.1 (line 8)"),
        (MINIMAL.replace("type: notify-team", "type: x, timeout: 0"), "rules.0.actions.0.timeout (line 7)"),
        (MINIMAL.replace("id: tell", "id: start"), "rules.0.actions.0.id (line 7)"),
        (MINIMAL.replace("type: notify-team", "type: x, timeout: .nan"), "rules.0.actions.0.timeout (line 7)"),
        (MINIMAL.replace("type: notify-team", "type: x, type: y"), "rules.0.actions.0.type (line 7)"),
        (MINIMAL.replace("type: notify-team", "type: x, critical: yes"), "rules.0.actions.0.critical (line 7)"),
        (MINIMAL.replace("type: notify-team", "type: x, on: nothing"), "rules.0.actions.0.on (line 7)"),
        ("version: 1\nrules:\n- [", "rule file (line 3)"),
        ("a: &a [*a]", "rule file"),
        ("version: !!python/object:os.system x", "version (line 1)"),
        ("[" * 5000, "rule file"),
    ],
)
def test_a_flaw_is_named(text: str, where: str) -> None:
    """Wrong shapes, wrong YAML and tricks are refused with the place."""
    assert where in [violation.field for violation in flaws(text)]


def test_an_alias_bomb_does_not_go_off() -> None:
    """A few lines cannot write out to billions of values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "values" in flaws("\n".join(lines))[0].rule


@given(
    st.text(max_size=200)
    | st.sampled_from(MINIMAL.split("\n")).flatmap(
        lambda line: st.text(max_size=8).map(lambda bad: MINIMAL.replace(line, line + bad, 1))
    )
)
def test_any_text_is_rules_or_refused(text: str) -> None:
    """No text raises anything but InvalidRules."""
    with contextlib.suppress(InvalidRules):
        assert load_rules(text).rules
