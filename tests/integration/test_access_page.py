"""docs/access.md: its commands are run as they stand there, against a running service."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from tests.support.keys import bearer
from tests.support.processes import Program, eventually, free_port

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the service and the commands both find their database, and the port."""
    directory = tmp_path_factory.mktemp("access")
    settings = {"DATA_DIR": str(directory / "data"), "WORKFLOW_SERVICE_PORT": str(free_port()), "AUTH_MODE": "keys"}
    return {**settings, "PATH": f"{BIN}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def service(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A workflow-service that asks for keys, alone."""
    port, log = int(environment["WORKFLOW_SERVICE_PORT"]), tmp_path_factory.mktemp("log") / "service.log"
    program = Program("workflow_service", port=port, log=log, environment=environment)
    program.start("/readyz")
    yield program
    program.kill()


def command(environment: dict[str, str], *arguments: str, group: str = "keys") -> subprocess.CompletedProcess[str]:
    """`workflow-service keys ...`."""
    line = [str(BIN / "workflow-service"), group, *arguments]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_page_is_true(environment: dict[str, str], service: Program) -> None:
    """Every command of the page works as it stands, and answers what the page says it answers."""
    script = "set -eu\n" + "\n".join(re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
    script = script.replace("http://127.0.0.1:8083", service.url)
    expected = re.findall(r"# (\d{3})$", script, re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^\d{3}$", done.stdout, re.MULTILINE) == expected
    assert len(expected) >= 9


def test_a_revocation_takes_effect(environment: dict[str, str], service: Program) -> None:
    """A key works as soon as it is made, is listed without its secret, and opens nothing 5 s after it was revoked."""
    made = command(environment, "create", "--name", "temp", "--scope", "viewer", "--namespace", "shop")
    key = made.stdout.strip()
    url = f"{service.url}/api/v1/workflows"
    assert httpx2.get(url, headers=bearer(key)).status_code == 200
    listed = command(environment, "list")
    (row,) = [line for line in listed.stdout.splitlines() if "temp" in line]
    assert re.search(r"temp +viewer +shop +valid", row)
    assert key not in listed.stdout
    assert command(environment, "revoke", key.split("_")[1]).returncode == 0
    eventually(lambda: httpx2.get(url, headers=bearer(key)).status_code == 401, "it is over", within=20)
    assert '"state": "revoked"' in command(environment, "list", "--output", "json").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--name", "a b", "--scope", "viewer"], "name: 'a b' must be"),
        (["create", "--name", "a", "--scope", "viewer", "--expires", "1d"], "expires: '1d' must be a Go duration"),
        (["create", "--name", "a", "--scope", "viewer", "--namespace", "A"], "namespace: 'A' must be"),
        (["create", "--name", "a", "--scope", "root"], "'root' is not one of 'viewer'"),
        (["revoke", "nothing"], "cannot revoke: no key nothing"),
    ],
)
def test_wrong_orders(environment: dict[str, str], arguments: list[str], said: str) -> None:
    """What cannot be done says what is wrong, in one line, with an exit code that is not zero."""
    refused = command(environment, *arguments)
    assert refused.returncode != 0
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_log_of_writes_on_the_command_line(tmp_path: Path) -> None:
    """Making and revoking keys stands in the log; verify is content until a row is touched, and then names it."""
    environment = {"DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    for name in ("ana", "bob"):
        assert command(environment, "create", "--name", name, "--scope", "viewer").returncode == 0
    listed = json.loads(command(environment, "list", "--output", "json", group="audit").stdout)
    assert [(row["what"], row["target"].split()[1]) for row in listed] == [
        ("keys create", "bob"),
        ("keys create", "ana"),
    ]
    sound = command(environment, "verify", group="audit")
    assert (sound.returncode, sound.stdout.split(";")[0]) == (0, "2 rows, 0 flaws")
    anchor = sound.stdout.split()[-1]
    assert command(environment, "verify", "--anchor", anchor, group="audit").returncode == 0
    with closing(sqlite3.connect(tmp_path / "workflow-service.sqlite")) as connection:
        connection.execute("UPDATE audit_log SET who = 'cli:eve' WHERE seq = 1")
        connection.commit()
    broken = command(environment, "verify", group="audit")
    assert broken.returncode == 1
    assert broken.stderr == "row 1 is not what was written there: it was changed, or moved there\n"
    wrong = command(environment, "verify", "--anchor", "x", group="audit")
    assert (wrong.returncode, "anchor: 'x' must be" in wrong.stderr) == (1, True)
