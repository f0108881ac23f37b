"""Settings and the command line: defaults, all problems at once, secrets from files, probes' lines."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.executor.conftest import Executor, environment

from executor_service.settings import SettingsError, load, parse_duration


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the CLI to its end."""
    line = [sys.executable, "-m", "executor_service", *arguments]
    return subprocess.run(line, env=environment(**settings), capture_output=True, text=True, timeout=30, check=False)


def test_defaults() -> None:
    """An empty environment works on loopback with a SQLite file."""
    settings = load({})
    assert (settings.host, settings.port, settings.cluster_name) == ("127.0.0.1", 8084, "default")
    assert settings.database_url == "sqlite+aiosqlite:///data/executor.sqlite"
    assert settings.protected_namespaces == {"kube-system", "kube-public", "kube-node-lease"}
    assert (settings.sync_wait, settings.ledger_retention) == (10.0, 30 * 86400.0)


def test_every_problem_is_reported_at_once() -> None:
    """One sentence per bad setting, each naming the setting."""
    bad = {
        "HOST": "10.0.0.1",
        "EXECUTOR_SERVICE_PORT": "99999",
        "LOG_LEVEL": "loud",
        "SYNC_WAIT": "soon",
        "DATABASE_URL": "mysql://x",
        "NOTIFY_WEBHOOK_URL": "ftp://x",
        "PROTECTED_NAMESPACES": "ok,Not_Ok",
    }
    with pytest.raises(SettingsError) as caught:
        load(bad)
    assert len(caught.value.problems) == len(bad)
    assert all(any(problem.startswith(name) for problem in caught.value.problems) for name in bad)


def test_a_secret_comes_from_its_file(tmp_path: Path) -> None:
    """NAME_FILE is read and stripped; both at once, or an empty file, is a problem."""
    secret = tmp_path / "token"
    secret.write_text("abc\n")
    assert load({"EXECUTOR_TOKEN_FILE": str(secret), "HOST": "10.0.0.1"}).token == "abc"
    for bad in ({"EXECUTOR_TOKEN": "x", "EXECUTOR_TOKEN_FILE": str(secret)}, {"EXECUTOR_TOKEN_FILE": "/absent"}):
        with pytest.raises(SettingsError):
            load(bad)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10.0), ("1m30s", 90.0), ("24h", 86400.0), ("250ms", 0.25)])
def test_durations(text: str, seconds: float) -> None:
    """Go's notation, plus days."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1 s", "0s", "1s!", "1e3s"])
def test_bad_durations(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


def test_a_bad_setting_refuses_the_start_with_exit_2() -> None:
    """One line per problem on stderr, nothing else."""
    ended = command(EXECUTOR_SERVICE_PORT="x", LOG_LEVEL="loud")
    assert ended.returncode == 2
    assert [line.split("=")[0] for line in ended.stderr.splitlines()] == ["EXECUTOR_SERVICE_PORT", "LOG_LEVEL"]


def test_the_health_check_prints_its_line(executor: Executor) -> None:
    """Both spellings; exit 0 while it serves, 1 otherwise."""
    port = executor.url.rpartition(":")[2]
    for spelling in ("-health-check", "--health-check"):
        ended = command(spelling, EXECUTOR_SERVICE_PORT=port)
        assert (ended.returncode, ended.stdout) == (0, "Health check passed\n")
    ended = command("--health-check", EXECUTOR_SERVICE_PORT="1")
    assert ended.returncode == 1
    assert ended.stdout.startswith("Health check failed: ")
