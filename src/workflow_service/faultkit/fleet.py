"""Everything that a run of the fault kit starts, wired together: database, cluster, executor, proxy, replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from workflow_service.faultkit.faults import Tally, mishaps
from workflow_service.faultkit.postgres import Postgres, postgres
from workflow_service.faultkit.processes import NotStarted, Program
from workflow_service.faultkit.proxy import Proxy

SQLITE = "sqlite"  # as --database-url: the embedded database, one replica
LEASE = 2.0  # seconds; shorter than the default, so that a freeze beyond it is shorter too
RUN = 120.0  # seconds that one run may take; a rollback as long again
LOOK = 0.5  # seconds between looks whether a program has ended by itself


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is. `at_once`: alerts accepted and not over."""

    workflows: int
    replicas: int
    at_once: int
    database_url: str | None  # None: a PostgreSQL of our own


@dataclass(slots=True)
class Fleet:
    """What runs. `ended` names the programs that ended by themselves, which none ever should."""

    cluster: Program
    executor: Program
    replicas: list[Program]
    proxy: Proxy
    postgres: Postgres | None
    database: sa.URL
    directory: Path
    ended: list[str]

    @property
    def ledger(self) -> list[Path]:
        """The executor's ledger with its SQLite companions; the lock file is no part of it."""
        found = (self.directory / "executor").glob("executor.sqlite*")
        return [path for path in found if not path.name.endswith(".lock")]

    async def revive(self) -> None:
        """Start again what has ended by itself, as a supervisor would, and remember it."""
        while True:
            await asyncio.sleep(LOOK)
            for program in (self.executor, *self.replicas):
                if program.wanted and not program.running:
                    self.ended.append(program.log.stem)
                    await program.start()


@asynccontextmanager
async def fleet(size: Size, directory: Path, *, rng: Random, tally: Tally) -> AsyncIterator[Fleet]:
    """Everything up; on the way out everything is ended, by pid.

    Raises:
        NotStarted: something did not come up.
    """
    if size.database_url not in {None, SQLITE}:
        refuse_if_used(sa.make_url(size.database_url or ""))
    async with AsyncExitStack() as stack:
        cluster, executor = _cluster(directory), _executor(directory)
        for program in (cluster, executor):
            stack.push_async_callback(program.kill)
        own, *_ = await _side_by_side(_postgres(stack, size, directory), cluster.start(), executor.start())
        struck = lambda mishap, execution: tally.note(mishap, [execution])  # noqa: E731 - a callback
        proxy = Proxy(lambda: executor.url, mishaps(rng), rng=rng, struck=struck)
        stack.push_async_callback(proxy.close)
        await _started(proxy)
        database = _database(size, own, directory)
        replicas = [_replica(directory, number, database, proxy, size) for number in range(1, size.replicas + 1)]
        for program in replicas:
            stack.push_async_callback(program.kill)
        await _side_by_side(*(program.start() for program in replicas))
        yield Fleet(cluster, executor, replicas, proxy, own, database, directory, [])


async def _postgres(stack: AsyncExitStack, size: Size, directory: Path) -> Postgres | None:
    if size.database_url is not None:
        return None
    return await stack.enter_async_context(postgres(directory / "postgresql", replicas=size.replicas))


def _database(size: Size, own: Postgres | None, directory: Path) -> sa.URL:
    """Where the replicas keep their rows, and nobody else does."""
    if size.database_url == SQLITE:
        return sa.make_url(f"sqlite:///{_data(directory, 1)}/workflow-service.sqlite")
    return sa.make_url(own.url if own else size.database_url or "")


async def _side_by_side(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """What each of them gives; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return [task.result() for task in tasks]


def refuse_if_used(url: sa.URL) -> None:
    """The kit deletes rows and stops replicas: a database with workflows in it is somebody's.

    Raises:
        NotStarted: it cannot be reached, or is in use.
    """
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            there = sa.inspect(connection).has_table("workflows")
            used = there and connection.execute(sa.text("SELECT 1 FROM workflows LIMIT 1")).first() is not None
    except sa.exc.SQLAlchemyError as error:
        raise NotStarted(f"--database-url: {url!r} cannot be used: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
    if used:
        raise NotStarted(
            f"--database-url: {url!r} holds workflows; the fault kit breaks what it finds: give an empty one"
        )


async def _started(proxy: Proxy) -> None:
    try:
        await proxy.start()
    except OSError as error:
        raise NotStarted(str(error)) from error


def _cluster(directory: Path) -> Program:
    """The sandbox cluster, whose audit log is what counts."""
    arguments = ("sandbox", "--port", "{port}", "--kubeconfig", str(directory / "kubeconfig"))
    log = directory / "cluster.log"
    return Program("executor_service", log=log, environment={}, ready="/version", arguments=arguments)


def _executor(directory: Path) -> Program:
    """The executor with a ledger of its own on SQLite."""
    environment = {
        "EXECUTOR_SERVICE_PORT": "{port}",
        "KUBECONFIG": str(directory / "kubeconfig"),
        "DATA_DIR": str(directory / "executor"),
    }
    log = directory / "executor.log"
    return Program("executor_service", log=log, environment=environment, ready="/readyz")


def _replica(directory: Path, number: int, database: sa.URL, proxy: Proxy, size: Size) -> Program:
    shared = database.get_backend_name() != "sqlite"
    environment = {
        "WORKFLOW_SERVICE_PORT": "{port}",
        "EXECUTOR_SERVICE_URL": proxy.url,
        "DATA_DIR": str(_data(directory, number)),
        "RULES_FILE": str(files("workflow_service.faultkit").joinpath("rules.yaml")),
        "LEASE_TTL": f"{LEASE:g}s",
        "WORKFLOW_EXECUTION_TIMEOUT": f"{RUN:g}s",
        "MAX_CONCURRENT_WORKFLOWS": str(max(5, size.at_once // size.replicas)),
        "MONITORING_INTERVAL": "2s",
        **dict.fromkeys(
            ("STORM_IN_NAMESPACE", "STORM_IN_CLUSTER", "BUDGET_IN_NAMESPACE", "BUDGET_IN_CLUSTER"), "0"
        ),  # every alert shall have a workflow
        **({"DATABASE_URL": database.render_as_string(hide_password=False)} if shared else {}),
    }
    log = directory / f"replica-{number}.log"
    return Program("workflow_service", log=log, environment=environment, ready="/readyz")


def _data(directory: Path, number: int) -> Path:
    return directory / f"replica-{number}"
