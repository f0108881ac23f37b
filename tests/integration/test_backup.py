"""Backup and restore: everything comes back, nothing is replaced by accident, every refusal says why in one line."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.postgres import TOOLS, Postgres
from tests.support.rows import BEGAN, ROW, an_execution, count, execution
from workflow_service.domain.errors import Fenced
from workflow_service.domain.events import Held
from workflow_service.store.backup import LOST_TIME, Source, back_up, restore
from workflow_service.store.data_lock import DataDirectoryTaken, DataLock
from workflow_service.store.database import Database
from workflow_service.store.entry import Entry
from workflow_service.store.journal import Journal
from workflow_service.store.postgres_tools import CannotCopy
from workflow_service.store.tables import deliveries, executions, replicas

pytestmark = [pytest.mark.requirement("BR-WF-004")]


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's client programs are those of the server under test."""
    monkeypatch.setenv("PATH", f"{TOOLS}:{os.environ['PATH']}")


@pytest.fixture
def source(database: Database, tmp_path: Path) -> Source:
    """The database under test."""
    return Source(database.url, tmp_path / "source")


@pytest.fixture
def target(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    """An empty database of the same kind."""
    directory = tmp_path / "target"
    url = f"sqlite:///{directory}/new.db" if database.sqlite else request.getfixturevalue("postgresql_url")
    return Source(sa.make_url(url), directory)


@pytest.fixture
def postgres_target(server: Postgres, tmp_path: Path) -> Source:
    """An empty PostgreSQL database."""
    return Source(sa.make_url(server.database()), tmp_path)


async def test_everything_comes_back(database: Database, source: Source, target: Source, tmp_path: Path) -> None:
    """What was there when the copy was made, ours and the queue's, byte by byte; what came later is not."""
    await an_execution(database, ended_at=BEGAN, status="completed")
    async with database.write() as connection:
        await connection.execute(sa.update(deliveries).values(body=bytes(range(256))))
    copy = tmp_path / "copy"
    assert back_up(source, to=copy) == copy.stat().st_size
    await an_execution(database)
    assert restore(target, copy=copy, force=False) == 0
    found = Database(target.url.render_as_string(hide_password=False))
    assert await count(found, executions) == 1
    async with found.read() as connection:
        assert await connection.scalar(sa.select(deliveries.c.body)) == bytes(range(256))
        queues = "queues" if found.sqlite else "dbos.queues"
        assert await connection.scalar(sa.text(f"SELECT name FROM {queues}")) == "q"  # noqa: S608 - ours
    await found.close()


async def test_a_copy_is_for_its_owner_and_replaces_nothing(source: Source, tmp_path: Path) -> None:
    """One file, mode 0600; a file that is there stays as it is; a failure leaves nothing behind."""
    copy = tmp_path / "copies" / "copy"
    with pytest.raises(CannotCopy, match="cannot be written: No such file or directory"):
        back_up(source, to=copy)
    copy.parent.mkdir()
    back_up(source, to=copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with pytest.raises(CannotCopy, match="exists already"):
        back_up(source, to=copy)
    assert list(copy.parent.iterdir()) == [copy]


async def test_what_is_there_is_replaced_only_by_force(
    database: Database, source: Source, target: Source, tmp_path: Path
) -> None:
    """Without force a database that is not empty stays as it is; with force it becomes the copy, whole."""
    copy, later = tmp_path / "copy", tmp_path / "later"
    key = await an_execution(database)
    back_up(source, to=copy)
    await an_execution(database)
    back_up(source, to=later)
    restore(target, copy=later, force=False)
    with pytest.raises(CannotCopy, match="not empty"):
        restore(target, copy=copy, force=False)
    assert restore(target, copy=copy, force=True) == 1
    found = Database(target.url.render_as_string(hide_password=False))
    assert await count(found, executions) == 1
    assert (await execution(found, key)).status == "created"
    await found.close()


async def test_nothing_of_the_lost_time_may_write(
    database: Database, source: Source, target: Source, tmp_path: Path
) -> None:
    """A drive that outlived the restore holds no generation that will ever be given again; nobody is alive yet."""
    begun = await an_execution(database, generation=3, enqueued=3, owner="old", status="running")
    over = await an_execution(database, generation=3, enqueued=3, ended_at=BEGAN, status="completed")
    async with database.write() as connection:
        living = {"id": "old", "started_at": BEGAN, "heartbeat": database.clock()}
        await connection.execute(sa.insert(replicas).values(living))
    written = Journal(database)
    await written.start()
    await written.append(Entry(begun, 3, 0, [Held(BEGAN, "away")], ROW))
    await written.stop()
    back_up(source, to=tmp_path / "copy")
    assert restore(target, copy=tmp_path / "copy", force=False) == 1
    found = Database(target.url.render_as_string(hide_password=False))
    row = await execution(found, begun)
    assert (row.generation, row.enqueued) == (LOST_TIME + 3, LOST_TIME + 3)
    assert (await execution(found, over)).generation == 3
    assert await count(found, replicas) == 0
    late = Journal(found)
    await late.start()
    for generation in range(3, 8):
        with pytest.raises(Fenced):
            await late.append(Entry(begun, generation, 1, [Held(BEGAN, "too late")], ROW))
    await late.claim(begun, LOST_TIME + 4, "new")
    await late.append(Entry(begun, LOST_TIME + 4, 1, [Held(BEGAN, "in time")], ROW))
    await late.stop()
    await found.close()


async def test_a_database_in_use_is_left_alone(source: Source, tmp_path: Path, database: Database) -> None:
    """Not even by force: another process has the data directory, or sessions on the server."""
    copy = tmp_path / "copy"
    back_up(source, to=copy)
    if database.sqlite:
        lock = DataLock(source.data_dir)
        lock.acquire()
        with pytest.raises(DataDirectoryTaken, match=str(source.data_dir)):
            restore(source, copy=copy, force=True)
        lock.release()
    else:
        assert await database.ping()  # its pool keeps a session
        with pytest.raises(CannotCopy, match=r"in use \(1 other sessions, pid \d+\): stop every replica first"):
            restore(source, copy=copy, force=True)


async def test_what_is_no_copy_is_refused(database: Database, target: Source, tmp_path: Path) -> None:
    """Nothing there, garbage, the other kind, another program's database, a damaged or cut copy: nothing is changed."""
    kind, other = ("SQLite", "PostgreSQL") if database.sqlite else ("PostgreSQL", "SQLite")
    head = {"SQLite": b"SQLite format 3\0", "PostgreSQL": b"PGDMP\x01\x10\x00"}
    files = {"garbage": b"x" * 5000, "other": head[other], "cut": head[kind] + b"\1\2"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name, why in {
        "missing": "cannot be read: No such file",
        "garbage": f"is no backup; the database is {kind}",
        "other": f"is a backup of {other}; the database is {kind}",
        "cut": "cannot be copied|pg_restore failed",
    }.items():
        with pytest.raises(CannotCopy, match=why) as caught:
            restore(target, copy=tmp_path / name, force=True)
        assert "\n" not in str(caught.value)
    if database.sqlite:
        with closing(sqlite3.connect(tmp_path / "foreign")) as connection:
            connection.execute("CREATE TABLE thing (id)")
        with pytest.raises(CannotCopy, match="is no backup of workflow-service"):
            restore(target, copy=tmp_path / "foreign", force=True)
        assert not target.data_dir.joinpath("new.db").exists()


async def test_a_newer_schema_is_refused(database: Database, source: Source, target: Source, tmp_path: Path) -> None:
    """A copy that this version could not bring up to date is refused before anything is touched."""
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE workflow_service_version SET version_num = '9999'"))
    back_up(source, to=tmp_path / "copy")
    with pytest.raises(CannotCopy, match=r"made by a newer workflow-service \(schema 9999\)"):
        restore(target, copy=tmp_path / "copy", force=True)


def _fake(directory: Path, name: str, *lines: str) -> None:
    """A program of that name: Python, with its arguments in `given`."""
    path = directory / name
    path.write_text("\n".join([f"#!{sys.executable}", "import sys", "given = sys.argv[1:]", *lines]))
    path.chmod(0o700)


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that alone is on PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def test_missing_and_old_programs_are_named(postgres_target: Source, fakes: Path, tmp_path: Path) -> None:
    """One line that says which program, and what to do."""
    with pytest.raises(CannotCopy, match=r"^pg_dump is not on PATH: install PostgreSQL's client programs$"):
        back_up(postgres_target, to=tmp_path / "copy")
    _fake(fakes, "pg_dump", "print('pg_dump (PostgreSQL) 9.6.24 (Debian 9.6)')")
    with pytest.raises(CannotCopy, match=r"^pg_dump 9 \(.*/pg_dump\) is older than the server, which is \d\d: put a"):
        back_up(postgres_target, to=tmp_path / "copy")
    (tmp_path / "dump").write_bytes(b"PGDMP" + bytes(20))
    with pytest.raises(CannotCopy, match=r"^pg_restore is not on PATH"):
        restore(postgres_target, copy=tmp_path / "dump", force=False)


def test_the_password_is_on_no_command_line(server: Postgres, tmp_path: Path, fakes: Path) -> None:
    """It goes by a file for its owner's eyes, escaped as libpq wants it and gone afterwards; no error shows it."""
    url = sa.make_url(server.database()).set(password="open:\\sesame")
    said = tmp_path / "said"
    _fake(
        fakes,
        "pg_dump",
        "from pathlib import Path",
        "from urllib.parse import parse_qs, urlsplit",
        "if given == ['--version']: sys.exit(print('pg_dump (PostgreSQL) 99.1'))",
        "passfile = Path(parse_qs(urlsplit(given[-1]).query)['passfile'][0])",
        f"Path({str(said)!r}).write_text(f'{{given}}\\n{{passfile}}\\n{{passfile.stat().st_mode:o}}\\n{{passfile.read_text()}}')",
        "sys.exit(3)",
    )
    with pytest.raises(CannotCopy, match=r"^pg_dump failed: it did not say why$"):
        back_up(Source(url, tmp_path), to=tmp_path / "copy")
    arguments, passfile, mode, line = said.read_text().splitlines()
    assert "sesame" not in arguments
    assert (mode, line) == ("100600", "*:*:*:*:open\\:\\\\sesame")
    assert not Path(passfile).exists()
    assert not list(tmp_path.glob("copy*"))


def test_a_ledger_beside_it_stays_out_of_it(postgres_target: Source, server: Postgres, tmp_path: Path) -> None:
    """An executor's ledger in the same database is neither copied nor replaced: it must never go back."""
    other = sa.make_url(server.database())

    def run(url: sa.URL, *statements: str) -> Any:
        engine = sa.create_engine(url.set(drivername="postgresql+psycopg"))
        with engine.begin() as connection:
            results = [connection.execute(sa.text(statement)) for statement in statements]
            value = results[-1].scalar() if results[-1].returns_rows else None
        engine.dispose()
        return value

    for url, value in ((postgres_target.url, "old"), (other, "new")):
        run(url, "CREATE TABLE executor_facts (value TEXT)", f"INSERT INTO executor_facts VALUES ('{value}')")  # noqa: S608
    version = "CREATE TABLE workflow_service_version (version_num TEXT)"
    tables = "CREATE TABLE journal (execution_id TEXT, generation INT)", "CREATE TABLE replicas (id TEXT)"
    columns = "id TEXT, seq INT, generation INT, enqueued INT, ended_at TIMESTAMPTZ"
    run(
        postgres_target.url,
        version,
        *tables,
        f"CREATE TABLE executions ({columns})",
        "INSERT INTO workflow_service_version VALUES ('0001')",
    )
    back_up(postgres_target, to=tmp_path / "copy")
    run(other, "CREATE TABLE executions (id TEXT)")
    restore(Source(other, tmp_path), copy=tmp_path / "copy", force=True)
    assert run(other, "SELECT value FROM executor_facts") == "new"
    assert run(other, "SELECT version_num FROM workflow_service_version") == "0001"


def test_nothing_to_back_up(tmp_path: Path) -> None:
    """A database that was never made, or does not answer, is named."""
    with pytest.raises(CannotCopy, match="there is no database at"):
        back_up(Source(sa.make_url(f"sqlite:///{tmp_path}/none.db"), tmp_path), to=tmp_path / "copy")
    url = sa.make_url("postgresql://user:secret-word@127.0.0.1:1/none")
    with pytest.raises(CannotCopy, match=r"^the database did not answer: ") as caught:
        back_up(Source(url, tmp_path), to=tmp_path / "copy")
    assert "secret-word" not in str(caught.value)
    assert "\n" not in str(caught.value)
