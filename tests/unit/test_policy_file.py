"""The policy file: what it means, what is wrong with it and where, and how a change of it is taken up."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from workflow_service.domain.catalogue import Risk
from workflow_service.domain.errors import InvalidPolicy
from workflow_service.domain.policy import Level, Place, Policy, Word
from workflow_service.planning.policy_file import PolicyFile, differences, load_policy, read_policy

pytestmark = pytest.mark.requirement("BR-WF-005")
EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "policy.yaml"


def test_an_empty_policy_is_the_built_in_one() -> None:
    """Apart from its version, which names the file's content."""
    found = load_policy("version: 1\n", Policy(confidence=0.5, own_namespace="kubernaut"))
    assert differences(Policy(confidence=0.5, own_namespace="kubernaut"), found) == []
    assert found.version.startswith("policy-")


def test_the_example_is_read() -> None:
    """Everything that a policy may say."""
    found = read_policy(EXAMPLE, Policy())
    assert found.environment(cluster="default", namespace="prod-shop") == "production"
    assert found.word_for(Risk.HIGH, "production") is Word.NEEDS_APPROVAL
    assert found.level("anything", "staging") is Level.AUTONOMOUS
    saturday = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    place = Place("production", "prod-shop", "ana", "fallback", "restart_pod")
    assert found.frozen(place, saturday) is not None
    assert found.frozen(place, datetime(2026, 11, 24, 12, 0, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 2", "version (line 1)"),
        ("version: 1\nplan_sise: 3", "plan_sise (line 2)"),
        ("version: 1\nrisk:\n- {high: maybe}", "risk.0.high (line 3)"),
        ("version: 1\nbudgets:\n  target: many", "budgets.target (line 3)"),
        ("version: 1\nfreezes:\n- name: sale", "must have starts_at and ends_at, or weekly"),
        ("version: 1\nfreezes:\n- name: sale\n  weekly: {weekdays: [mon], begins: '1:00', until: '2:00', timezone: X}",
         "freezes.0.weekly.timezone (line 4)"),
        ("version: 1\nversion: 1", "is given twice"),
        ("version: [", "is not YAML"),
        ("", "policy file"),
    ],
)  # fmt: skip
def test_flaws_are_named_with_their_line(text: str, told: str) -> None:
    """Field, value, rule."""
    with pytest.raises(InvalidPolicy) as caught:
        load_policy(text, Policy())
    assert told in str(caught.value)


def test_a_changed_file_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    """What has changed is logged; a broken file is told of, and the policy stays."""
    path, now = tmp_path / "policy.yaml", [0.0]

    def write(text: str) -> None:
        path.write_text(text, "utf-8")
        now[0] += 1.0
        os.utime(path, ns=(int(now[0]) * 10**9, int(now[0]) * 10**9))

    write("version: 1\nplan_size: 5\n")
    current = PolicyFile(path, Policy(), monotonic=lambda: now[0])
    write("version: 1\nplan_size: 6\n")
    with capture_logs() as log:
        assert current().plan_size == 6
        write("version: 1\nplan_size: none at all\n")
        assert current().plan_size == 6
    assert [line["event"] for line in log] == [
        "the policy has changed",
        "the policy file cannot be used; the policy stays",
    ]
    assert log[0]["changes"] == ["plan_size: 5 -> 6"]
