"""`workflow-service policy`, `halt` and `unhalt`: what they print, and their exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_cli import run
from tests.support.processes import Stack

pytestmark = pytest.mark.requirement("BR-WF-005")
EXAMPLE = str(Path(__file__).parents[2] / "deploy" / "examples" / "policy.yaml")


def test_a_policy_is_linted_shown_and_compared(tmp_path: Path) -> None:
    """Every flaw on a line of its own with exit code 1; what holds; what a new file would change."""
    fine = run("policy", "lint", EXAMPLE)
    assert (fine.returncode, "is a policy: policy-" in fine.stdout) == (0, True)
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 1\nplan_size: many\nbudgets: {target: -1}\n", "utf-8")
    flawed = run("policy", "lint", str(broken))
    assert flawed.returncode == 1
    told = sorted(line.split(":")[0] for line in flawed.stderr.splitlines())
    assert told == ["budgets.target (line 3)", "plan_size (line 2)"]
    shown = run("policy", "show", POLICY_FILE=EXAMPLE)
    assert "budgets.target: 5" in shown.stdout
    assert "budgets.target: None -> 5" in run("policy", "diff", EXAMPLE).stdout
    assert run("policy", "diff", EXAMPLE, POLICY_FILE=EXAMPLE).stdout == "nothing would change\n"


def test_a_broken_policy_refuses_the_start(tmp_path: Path) -> None:
    """One line that names field, line and rule; no traceback."""
    broken = tmp_path / "policy.yaml"
    broken.write_text("version: 1\nplan_size: many\n", "utf-8")
    done = run(POLICY_FILE=str(broken), DATA_DIR=str(tmp_path / "data"), WORKFLOW_SERVICE_PORT="0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("cannot start: the policy file is not valid: plan_size (line 2)")


def test_halt_and_unhalt(tmp_path: Path) -> None:
    """Who halted what and why; taken back once, a second time is refused."""
    with Stack(tmp_path) as stack:
        there = {"WORKFLOW_SERVICE_URL": stack.workflow.url, "USER": "ana"}
        assert run("halt", "--reason", "all wrong", **there).stdout == "halted everywhere by ana: all wrong\n"
        assert "halted shop by ana" in run("halt", "--namespace", "shop", "--reason", "x", **there).stdout
        assert "halted shop" in run("unhalt", **there).stdout
        assert run("unhalt", "--namespace", "shop", **there).stdout == "nothing is halted\n"
        assert run("unhalt", **there).returncode == 1
