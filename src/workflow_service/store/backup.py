"""A copy of everything, and back from it: SQLite by its online backup, PostgreSQL by its own programs.

A restore goes back in time, the world does not. What ran on after the copy was made is asked for by its keys, which the
executor's ledger knows; nothing that a drive of the lost time still holds may write: see `_fence`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from workflow_service.store import migrations, postgres_tools
from workflow_service.store.data_lock import DataLock
from workflow_service.store.postgres_tools import CannotCopy
from workflow_service.store.tables import executions, journal, metadata, replicas

LOST_TIME = 1_000_000  # generations: more than any execution was given between a copy and its restore
_MAGIC = {b"SQLite format 3\0": "SQLite", b"PGDMP": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Source:
    """The database and, for the embedded one, the directory whose lock admits one process."""

    url: sa.URL
    data_dir: Path

    @property
    def kind(self) -> str:
        """SQLite | PostgreSQL."""
        return "SQLite" if self.url.get_backend_name() == "sqlite" else "PostgreSQL"


def back_up(source: Source, *, to: Path) -> int:
    """Write a copy as of one moment into the new file `to`, readable for its owner only; its size in bytes.

    The service may be serving. The file appears whole or not at all.

    Raises:
        CannotCopy: the message says why.
    """
    if to.exists():
        raise CannotCopy(f"{to} exists already; a backup never replaces another")
    with _new_file(to) as partial:
        if source.kind == "SQLite":
            file = _file(source)
            if not file.exists():
                raise CannotCopy(f"there is no database at {file}")
            _copy_sqlite(file, partial)
        else:
            with _engine(source) as engine:
                postgres_tools.dump(source.url, engine, partial)
    return to.stat().st_size


def restore(source: Source, *, copy: Path, force: bool) -> int:
    """Make the database what it was when `copy` was made; how many executions will go on at the next start.

    With `force` whatever of ours is in the database is lost first.

    Raises:
        CannotCopy: it is in use, it is not empty and `force` was not said, or the copy is none; the message says which.
        DataDirectoryTaken: a workflow-service works in the data directory.
    """
    _expect(copy, source.kind)
    if source.kind == "SQLite":
        return _restore_sqlite(source, copy, force=force)
    return _restore_postgres(source, copy, force=force)


def _restore_sqlite(source: Source, copy: Path, *, force: bool) -> int:
    file, lock = _file(source), DataLock(source.data_dir)
    lock.acquire()
    try:
        if file.exists() and file.stat().st_size and not force:
            raise CannotCopy(f"{file} is not empty; --force replaces it")
        file.parent.mkdir(parents=True, exist_ok=True)
        with _new_file(file) as partial:
            _copy_sqlite(copy, partial)
            with closing(sqlite3.connect(partial)) as connection:
                _expect_known(_sqlite_revision(connection), copy)
            engine = sa.create_engine(sa.URL.create("sqlite", database=str(partial)))
            with engine.begin() as connection:
                active = _fence(connection)
            engine.dispose()
            for old in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
                old.unlink(missing_ok=True)
    finally:
        lock.release()
    return active


def _restore_postgres(source: Source, copy: Path, *, force: bool) -> int:
    with _engine(source) as engine:
        _expect_known(postgres_tools.only_value(engine, copy, migrations.VERSION_TABLE), copy)
        with engine.begin() as connection:
            _expect_unused(connection)
            taken = _occupied(connection)
            if taken and not force:
                raise CannotCopy(f"the database is not empty (it has {taken}); --force replaces what is ours")
            for name in _ours(connection):
                connection.execute(sa.text(f"DROP TABLE {name} CASCADE"))
            connection.execute(sa.text("DROP SCHEMA IF EXISTS dbos CASCADE"))
        try:
            postgres_tools.load(source.url, engine, copy)
        except CannotCopy as error:
            raise CannotCopy(f"{error}; the database is empty now" if taken else str(error)) from error
        with engine.begin() as connection:
            return _fence(connection)


def _fence(connection: sa.Connection) -> int:
    """Move the generations of what is active beyond all that the lost time may have given; how many are active.

    Else a drive that outlived the restore (frozen, cut off) would one day hold the very generation that a new one has,
    and could write. Whoever has no journal yet has no drive that could have done anything.
    """
    active = executions.c.ended_at.is_(None)
    begun = sa.select(executions.c.id).where(active, executions.c.seq > 0)
    later = {"generation": executions.c.generation + LOST_TIME, "enqueued": executions.c.enqueued + LOST_TIME}
    moved = sa.update(journal).where(journal.c.execution_id.in_(begun))
    connection.execute(moved.values(generation=journal.c.generation + LOST_TIME))
    connection.execute(sa.update(executions).where(active, executions.c.seq > 0).values(later))
    connection.execute(sa.delete(replicas))  # whoever is on the list of the living is not
    return connection.scalar(sa.select(sa.func.count()).select_from(executions).where(active)) or 0


def _expect(copy: Path, kind: str) -> None:
    try:
        with copy.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise CannotCopy(f"{copy} cannot be read: {error.strerror}") from error
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if found != kind:
        raise CannotCopy(f"{copy} is {f'a backup of {found}' if found else 'no backup'}; the database is {kind}")


def _expect_known(revision: str | None, copy: Path) -> None:
    if revision is None:
        raise CannotCopy(f"{copy} is no backup of workflow-service")
    if revision not in migrations.revisions():
        raise CannotCopy(f"{copy} was made by a newer workflow-service (schema {revision})")


def _expect_unused(connection: sa.Connection) -> None:
    others = sa.text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid"
    )
    pids = connection.execute(others).scalars().all()
    if pids:
        shown = ", ".join(map(str, pids))
        raise CannotCopy(f"the database is in use ({len(pids)} other sessions, pid {shown}): stop every replica first")


def _ours(connection: sa.Connection) -> list[str]:
    found = set(sa.inspect(connection).get_table_names())
    return sorted(found & {*metadata.tables, migrations.VERSION_TABLE})


def _occupied(connection: sa.Connection) -> str | None:
    """Something in the way of a restore: a table of ours, or the queue's schema."""
    schemas = sa.inspect(connection).get_schema_names()
    return next(iter(_ours(connection)), "the schema dbos" if "dbos" in schemas else None)


def _sqlite_revision(connection: sqlite3.Connection) -> str | None:
    try:
        row = connection.execute(f"SELECT version_num FROM {migrations.VERSION_TABLE}").fetchone()  # noqa: S608 - ours
    except sqlite3.OperationalError:
        return None
    return str(row[0]) if row else None


def _copy_sqlite(source: Path, to: Path) -> None:
    """In one step, so that it is one moment; whoever writes meanwhile is not kept waiting (WAL)."""
    try:
        with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(to)) as copy:
            original.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it
            [(verdict,)] = copy.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise CannotCopy(f"{source} cannot be copied: {error}") from error
    if verdict != "ok":
        raise CannotCopy(f"{source} is damaged: {verdict}")


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file for its owner's eyes that takes its name, on disk for certain, once the block has filled it."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield partial
        _flush(partial)
        partial.replace(path)
        _flush(path.parent)
    except OSError as error:
        raise CannotCopy(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _engine(source: Source) -> Iterator[sa.Engine]:
    engine = postgres_tools.connect(source.url)
    try:
        yield engine
    finally:
        engine.dispose()


def _file(source: Source) -> Path:
    return Path(str(source.url.database))
