"""The program as an operator meets it: its commands, its exit codes, how it refuses to start and how it stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.processes import Program, Stack, eventually, free_port
from tests.support.replica import DISK_SPACE_HIGH, HIGH_CPU
from workflow_service.demo.embedded import NotStarted
from workflow_service.demo.embedded import running as running_embedded


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "workflow_service", *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def service(directory: Path, **environment: str) -> Program:
    """A workflow-service of its own, not yet started; nobody listens where its executor should be."""
    port = free_port()
    usual = {
        "WORKFLOW_SERVICE_PORT": str(port),
        "DATA_DIR": str(directory / "data"),
        "EXECUTOR_SERVICE_URL": f"http://127.0.0.1:{free_port()}",
    }
    return Program("workflow_service", port=port, log=directory / "log", environment={**usual, **environment})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Path]]:
    """A service that runs, and its directory."""
    directory = tmp_path_factory.mktemp("service")
    program = service(directory, LOG_LEVEL="error")
    program.start("/readyz")
    yield program, directory
    program.kill()


@pytest.mark.parametrize("flag", ["-health-check", "--health-check"])
def test_health_check_of_a_running_service(running: tuple[Program, Path], flag: str) -> None:
    """The specified line and exit code 0, even while the executor is away."""
    program, _ = running
    checked = run(flag, WORKFLOW_SERVICE_PORT=str(program.port))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "Health check passed\n", "")


@pytest.mark.parametrize("flag", ["-health-check", "--health-check"])
def test_health_check_of_nobody(flag: str) -> None:
    """The specified beginning of the line, with the reason, and exit code 1."""
    checked = run(flag, WORKFLOW_SERVICE_PORT=str(free_port()))
    assert checked.returncode == 1
    assert checked.stdout.startswith("Health check failed: ")
    assert len(checked.stdout.splitlines()) == 1
    assert checked.stderr == ""


def test_a_second_process_on_the_same_directory_is_refused(running: tuple[Program, Path]) -> None:
    """One line on stderr that names the directory, exit code 1; the first goes on."""
    program, directory = running
    data = str(directory / "data")
    second = run(WORKFLOW_SERVICE_PORT=str(free_port()), DATA_DIR=data, LOG_LEVEL="fatal")
    assert second.returncode == 1
    [line] = second.stderr.splitlines()
    assert line.startswith("cannot start: ")
    assert data in line
    assert httpx2.get(f"{program.url}/readyz").status_code == 200


def test_a_taken_port_is_refused(running: tuple[Program, Path], tmp_path: Path) -> None:
    """One line on stderr that names the port, exit code 1."""
    program, _ = running
    second = run(WORKFLOW_SERVICE_PORT=str(program.port), DATA_DIR=str(tmp_path), LOG_LEVEL="fatal")
    assert second.returncode == 1
    [line] = second.stderr.splitlines()
    assert str(program.port) in line


def test_log_level(running: tuple[Program, Path], tmp_path: Path) -> None:
    """With `error` a good day leaves no line; with `info` each line is JSON and tells that the service is up."""
    program, _ = running
    assert httpx2.get(f"{program.url}/health").status_code == 200
    assert program.log_end() == ""
    talkative = service(tmp_path, LOG_LEVEL="info")
    try:
        talkative.start("/readyz")
        assert talkative.stop() == 0
    finally:
        talkative.kill()
    lines = [json.loads(line) for line in talkative.log_end(100_000).splitlines()]
    assert any("is up" in str(line) for line in lines)


def test_config_print_masks_secrets(tmp_path: Path) -> None:
    """Every setting with its source; a token and a password never."""
    file = tmp_path / "settings.yaml"
    file.write_text("workflow:\n  execution:\n    max_parallel_actions: 7\n")
    shown = run(
        "--config",
        str(file),
        "config",
        "print",
        EXECUTOR_TOKEN="very-secret-token",
        DATABASE_URL="postgresql://wf:very-secret-word@db/wf",
    )
    assert shown.returncode == 0, shown.stderr
    assert "very-secret" not in shown.stdout
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "7" in lines["MAX_PARALLEL_ACTIONS"]
    assert f"{file}:3" in lines["MAX_PARALLEL_ACTIONS"]
    assert "postgresql://wf:" in lines["DATABASE_URL"]
    assert lines["WORKFLOW_SERVICE_PORT"].split() == ["WORKFLOW_SERVICE_PORT", "8083", "default"]


def test_bad_settings_are_all_named_at_once(tmp_path: Path) -> None:
    """Exit code 2, one line each with setting, value and rule, no traceback; nothing is created."""
    data = tmp_path / "data"
    refused = run(
        WORKFLOW_SERVICE_PORT="eighty", ACTION_TIMEOUT="120", AI_CONFIDENCE_THRESHOLD="1.5", DATA_DIR=str(data)
    )
    assert refused.returncode == 2
    assert refused.stdout == ""
    lines = refused.stderr.splitlines()
    assert len(lines) == 3
    for line, name, value in zip(
        sorted(lines),
        ("ACTION_TIMEOUT", "AI_CONFIDENCE_THRESHOLD", "WORKFLOW_SERVICE_PORT"),
        ("120", "1.5", "eighty"),
        strict=True,
    ):
        assert name in line
        assert value in line
        assert "must be" in line
    assert not data.exists()


def test_a_bad_rule_file_refuses_the_start(tmp_path: Path) -> None:
    """One line that names the flaw's place; exit code 1."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("version: 1\nrules:\n- {name: one, reason: because, actions: []}\n")
    refused = run(RULES_FILE=str(rules), DATA_DIR=str(tmp_path / "data"), WORKFLOW_SERVICE_PORT=str(free_port()))
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "rules.0.actions" in line
    assert "line 3" in line


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("number", "alert", "status"),
    [(signal.SIGTERM, DISK_SPACE_HIGH, "running"), (signal.SIGINT, HIGH_CPU, "planning")],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_stop_with_work_in_flight(
    tmp_path: Path, number: signal.Signals, alert: dict[str, object], status: str
) -> None:
    """Exit code 0 within 30 s though an executor is awaited; after the next start the workflow goes on and ends."""
    with Stack(tmp_path) as stack:
        stack.executor.kill()
        assert stack.execute(alert, prefer="respond-async").status_code == 202
        eventually(lambda: stack.workflows(status=status), f"the workflow is {status} and waits for the executor")
        assert stack.workflow.process is not None
        stack.workflow.process.send_signal(number)
        assert stack.workflow.process.wait(timeout=30) == 0
        assert "Traceback" not in stack.workflow.log_end(100_000)
        stack.executor.start("/readyz")
        stack.workflow.start("/readyz")
        eventually(lambda: stack.ended(1), "the workflow ends")
        assert [one["status"] for one in stack.workflows()] == ["completed"]


def test_everything_embedded_does_not_pretend(tmp_path: Path) -> None:
    """A taken port is named before anything is started; nobody else's service is taken for ours."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(NotStarted, match=f"port {port} of 127.0.0.1 is not free"),
            running_embedded(tmp_path, ports=(port, free_port())),
        ):
            raise AssertionError("it pretends to run")
    assert not list(tmp_path.glob("*.log"))


def test_what_ends_by_itself_ends_all(tmp_path: Path) -> None:
    """When the service is killed, the rest is ended too, and the line on stderr names its log."""
    code = (
        "import sys; from pathlib import Path; from workflow_service.demo import embedded;"
        f"sys.exit(embedded.serve(Path({str(tmp_path)!r}), ports=({free_port()}, {free_port()})))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        assert any("Ctrl-C" in line for line in parent.stdout)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        _, told = parent.communicate(timeout=60)
    finally:
        parent.kill()
    assert parent.returncode == 1
    assert "workflow-service.log" in told
    assert not [one for one in children if Path(f"/proc/{one}").exists()]
