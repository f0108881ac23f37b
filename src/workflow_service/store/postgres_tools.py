"""PostgreSQL's own programs, pg_dump and pg_restore: found, checked, and called without a password in sight."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workflow_service.domain.errors import WorkflowServiceError
from workflow_service.store.database import POSTGRESQL_SESSION

NOT_OURS = "executor_*"  # a ledger that shares the database: it must never go back to an earlier moment
_COPIED = re.compile(r"^COPY .*;\n(\S+)$", re.MULTILINE)


class CannotCopy(WorkflowServiceError):
    """A backup or a restore that is not possible; nothing was changed unless the message says so."""


def connect(url: sa.URL) -> sa.Engine:
    """An engine for the few statements beside the programs.

    Raises:
        CannotCopy: the database does not answer.
    """
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), connect_args=dict(POSTGRESQL_SESSION))
    try:
        engine.connect().close()
    except sa.exc.OperationalError as error:
        raise CannotCopy(f"the database did not answer: {_one_line(str(error.orig))}") from error
    return engine


def dump(url: sa.URL, engine: sa.Engine, to: Path) -> None:
    """Write everything as of one moment into `to`, beside whatever goes on.

    Raises:
        CannotCopy: pg_dump is missing, too old, or fails.
    """
    tool = _tool("pg_dump", engine)
    flags = ["--format=custom", "--no-owner", "--no-privileges", f"--exclude-table={NOT_OURS}", f"--file={to}"]
    with _reachable(url) as database:
        _run([tool, *flags, f"--dbname={database}"])


def load(url: sa.URL, engine: sa.Engine, source: Path) -> None:
    """Create everything that `source` holds, all or nothing.

    Raises:
        CannotCopy: pg_restore is missing, too old, or fails.
    """
    tool = _tool("pg_restore", engine)
    flags = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    with _reachable(url) as database:
        _run([tool, *flags, f"--dbname={database}", str(source)])


def only_value(engine: sa.Engine, source: Path, table: str) -> str | None:
    """The one value of a table of one row and column, read from a dump; None when there is none.

    Raises:
        CannotCopy: pg_restore is missing or too old, or `source` is no dump.
    """
    tool = _tool("pg_restore", engine)
    found = _COPIED.search(_run([tool, "--data-only", f"--table={table}", "--file=-", str(source)]))
    return found.group(1) if found else None


def _tool(name: str, engine: sa.Engine) -> str:
    path = shutil.which(name)
    if path is None:
        raise CannotCopy(f"{name} is not on PATH: install PostgreSQL's client programs")
    tool = re.search(r"\) (\d+)", _run([path, "--version"]))  # pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)
    with engine.connect() as connection:
        server = int(connection.scalar(sa.text("SHOW server_version_num")) or 0) // 10_000
    if tool is None or int(tool.group(1)) < server:
        found = tool.group(1) if tool else "unknown"
        raise CannotCopy(
            f"{name} {found} ({path}) is older than the server, which is {server}: put a newer one on PATH"
        )
    return path


def _run(command: Sequence[str]) -> str:
    """What the program prints."""
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - ours, no shell
    if done.returncode != 0:
        raise CannotCopy(f"{Path(command[0]).name} failed: {_one_line(done.stderr.decode(errors='replace'))}")
    return done.stdout.decode(errors="replace")


@contextmanager
def _reachable(url: sa.URL) -> Iterator[str]:
    """A connection string without the password, which everybody on the machine could read; libpq takes it from a file.

    Source: https://www.postgresql.org/docs/current/libpq-pgpass.html
    """
    query: dict[str, Any] = dict(url.query)
    password = query.pop("password", None) or url.password
    with tempfile.NamedTemporaryFile("w", prefix="pgpass-") as file:  # for its owner's eyes only
        if password:
            escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
            file.write(f"*:*:*:*:{escaped}\n")
            file.flush()
            query["passfile"] = file.name
        place: dict[str, Any] = {"host": url.host, "port": url.port, "database": url.database}
        yield sa.URL.create("postgresql", url.username, query=query, **place).render_as_string(hide_password=False)


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())[:500] or "it did not say why"
