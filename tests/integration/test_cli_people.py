"""The commands for people, against a service that runs: what they show, what they tell it, their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_cli import run
from tests.support.processes import Stack, eventually, free_port
from tests.support.replica import HIGH_CPU, act, rules_of

pytestmark = [pytest.mark.requirement("BR-WF-001", "BR-WF-005")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with a rule that asks before its second step."""
    directory = tmp_path_factory.mktemp("people")
    tell = {"type": "notify_only", "parameters": {"message": "hello"}}
    gate = {"id": "two", **tell, "needs": ["one"], "approval": {"timeout": "10m"}}
    rules = rules_of(directory, act("one", "log_incident", parameters={"message": "hello"}), gate)
    with Stack(directory, RULES_FILE=rules) as running:
        yield running


def cli(stack: Stack, *arguments: str, expect: int = 0) -> str:
    """What a command prints; its exit code is as expected."""
    done = run(*arguments, WORKFLOW_SERVICE_URL=stack.workflow.url, USER="ana")
    assert done.returncode == expect, (done.stdout, done.stderr)
    return done.stdout if expect in {0, 4} else done.stderr


def comes_to(stack: Stack, workflow_id: str, status: str) -> None:
    """Return once the workflow stands there."""
    url = f"{stack.workflow.url}/api/v1/workflows/{workflow_id}"
    eventually(lambda: stack.http.get(url).json()["status"] == status, f"{workflow_id} is {status}")


def sent(stack: Stack, directory: Path, resource: str) -> str:
    """Send an alert from a file; the id of its workflow."""
    file = directory / "alert.json"
    file.write_text(json.dumps({**HIGH_CPU, "resource": resource}))
    answer = json.loads(cli(stack, "alerts", "send", str(file), "-o", "json"))
    return str(answer["result"]["workflow_id"])


def test_an_alert_from_sending_to_its_end(stack: Stack, tmp_path: Path) -> None:
    """Send, list, explain; show, approve, watch: each says what happened, and by whom."""
    workflow_id = sent(stack, tmp_path, "deployment/shown")
    comes_to(stack, workflow_id, "awaiting_approval")
    assert "attached" in cli(stack, "alerts", "send", str(tmp_path / "alert.json"))
    listed = cli(stack, "alerts", "list", "--workflow", workflow_id)
    header, newest, oldest = listed.splitlines()
    assert header.split() == ["ALERT", "NAME", "NAMESPACE", "OUTCOME", "WORKFLOW", "AGE"]
    assert "attached" in newest
    assert "admitted" in oldest
    explained = cli(stack, "alerts", "explain", oldest.split()[0])
    assert explained.splitlines()[0] == "admitted"
    assert any(line.startswith("duplicate ") for line in explained.splitlines())
    assert workflow_id in cli(stack, "workflows", "list", "--status", "awaiting_approval")
    assert "approve_two" in cli(stack, "workflows", "show", workflow_id)
    told = cli(stack, "workflows", "approve", workflow_id, "--reason", "seen")
    plan = stack.workflow_detail(workflow_id)["result"]["execution_details"]["plan"]["hash"]
    assert (told.startswith("approve: applied"), f"(plan {plan})" in told) == (True, True)
    watched = cli(stack, "workflows", "watch", workflow_id, "-o", "json")
    kinds = [json.loads(line)["kind"] for line in watched.splitlines()]
    assert (kinds[0], kinds[-1]) == ("PlanningStarted", "Ended")
    found = json.loads(cli(stack, "workflows", "show", workflow_id, "-o", "json"))
    assert found["status"] == "completed"
    commands = stack.http.get(f"{stack.workflow.url}/api/v1/workflows/{workflow_id}/commands").json()["commands"]
    assert [(one["verb"], one["actor"], one["reason"]) for one in commands] == [("approve", "ana", "seen")]


def test_what_is_refused_is_told_in_words(stack: Stack, tmp_path: Path) -> None:
    """Exit 1 with the service's reasons; exit 4 when what was watched is no success; exit 2 for a wrong line."""
    workflow_id = sent(stack, tmp_path, "deployment/refused")
    comes_to(stack, workflow_id, "awaiting_approval")
    refused = cli(stack, "workflows", "resume", workflow_id, expect=1)
    assert refused.startswith("Command refused: resume is not possible")
    assert "possible now: approve" in refused
    assert "--priority" in cli(stack, "workflows", "set-priority", workflow_id, "--priority", "12", expect=2)
    assert "--set" in cli(stack, "workflows", "retry", workflow_id, "--set", "nonsense", expect=2)
    assert "cancel: applied" in cli(stack, "workflows", "cancel", workflow_id, "--undo")
    watched = cli(stack, "workflows", "watch", workflow_id, expect=4)
    assert "cancelled" in watched
    assert watched.endswith("\n"), "also where no terminal is"
    assert cli(stack, "workflows", "show", "no-such", expect=1).startswith("Not found")
    (tmp_path / "bad.json").write_text('{"name": ""}')
    told = cli(stack, "alerts", "send", str(tmp_path / "bad.json"), expect=1)
    assert told.count("name: ") == 1, "each broken rule is told once"


def test_what_others_wrote_commands_no_terminal(stack: Stack, tmp_path: Path) -> None:
    """Escape sequences in an alert's name arrive neither in tables nor in trees."""
    file = tmp_path / "alert.json"
    file.write_text(json.dumps({**HIGH_CPU, "name": "a\x1b[2Jb[red]c", "resource": "deployment/evil"}))
    sent_one = json.loads(cli(stack, "alerts", "send", str(file), "-o", "json"))
    workflow_id = sent_one["result"]["workflow_id"]
    comes_to(stack, workflow_id, "awaiting_approval")
    for shown in (cli(stack, "workflows", "show", workflow_id), cli(stack, "workflows", "list")):
        assert "\x1b[2J" not in shown
        assert "a?[2Jb[red]c" in shown
    cli(stack, "workflows", "cancel", workflow_id)


def test_nobody_there() -> None:
    """Exit 3 and one line that says where nobody was."""
    url = f"http://127.0.0.1:{free_port()}"
    done = run("workflows", "list", "--url", url)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"{url} cannot be reached: ")
    assert run("workflows", "list", "--url", "ftp://x").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """A script for each shell that asks our own program."""
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_WORKFLOW_SERVICE_COMPLETE" in done.stdout


def test_a_notification_is_sent_whole(stack: Stack, tmp_path: Path) -> None:
    """What Alertmanager sends goes the way that Alertmanager's goes: one line for each alert."""
    alert: dict[str, Any] = {
        "status": "firing",
        "labels": {"alertname": "X", "namespace": "shop", "deployment": "cart"},
    }
    file = tmp_path / "group.json"
    file.write_text(json.dumps({"version": "4", "status": "firing", "alerts": [alert, {"labels": {}}]}))
    lines = cli(stack, "alerts", "send", str(file)).splitlines()
    assert lines[0].split() == ["ALERT", "OUTCOME", "WORKFLOW", "REASON"]
    assert [line.split()[1] for line in lines[1:]] == ["admitted", "invalid"]
    cli(stack, "workflows", "cancel", lines[1].split()[2])
    file.write_text(json.dumps({"version": "4", "status": "firing", "alerts": [{"labels": {}}]}))
    assert "invalid" in run("alerts", "send", str(file), WORKFLOW_SERVICE_URL=stack.workflow.url).stdout
    cli(stack, "alerts", "send", str(file), expect=1)


def test_a_notification_is_waited_for(stack: Stack, tmp_path: Path) -> None:
    """With --wait it ends when all of its workflows have: 0 when they are completed, 4 when one is not."""
    for verb, code in (("approve", 0), ("cancel", 4)):
        labels = {"alertname": "X", "namespace": "shop", "deployment": f"waited-{verb}"}
        file = tmp_path / f"{verb}.json"
        file.write_text(json.dumps({"version": "4", "status": "firing", "alerts": [{"labels": labels}]}))
        with ThreadPoolExecutor() as pool:
            sending = pool.submit(cli, stack, "alerts", "send", str(file), "--wait", "-o", "json", expect=code)
            [found] = eventually(lambda: stack.workflows(status="awaiting_approval"), "it waits for a word") or []
            cli(stack, "workflows", verb, found["workflow_id"])
            assert json.loads(sending.result())[0]["workflow_id"] == found["workflow_id"]


def test_watching_over_a_restart(stack: Stack, tmp_path: Path) -> None:
    """`watch` goes on when the service comes back."""
    workflow_id = sent(stack, tmp_path, "deployment/restarted")
    comes_to(stack, workflow_id, "awaiting_approval")
    command = [sys.executable, "-m", "workflow_service", "workflows", "watch", workflow_id, "-o", "json"]
    given = {**os.environ, "WORKFLOW_SERVICE_URL": stack.workflow.url}
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stdout is not None
            assert json.loads(watching.stdout.readline())["kind"] == "PlanningStarted"
            stack.workflow.kill()
            stack.workflow.start("/readyz")
            comes_to(stack, workflow_id, "awaiting_approval")
            cli(stack, "workflows", "approve", workflow_id)
            told, _ = watching.communicate(timeout=60)
        finally:
            watching.kill()
    assert json.loads(told.splitlines()[-1])["kind"] == "Ended"
    assert watching.returncode == 0
