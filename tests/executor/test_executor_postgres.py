"""The ledger on a real PostgreSQL: the same promises, another lock."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from tests.executor.conftest import Cluster, eventually, executor_process
from tests.support.postgres import Postgres, postgres

from executor_service.ledger.database import AdvisoryLock, LedgerBusyError, open_database

PLAIN = {"SYNC_WAIT": "100ms", "DRY_RUN_FIRST": "false"}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One server for this module."""
    with postgres() as running:
        yield running


@pytest.mark.durability
async def test_kill_9_and_the_advisory_lock_on_postgresql(server: Postgres, cluster: Cluster, tmp_path: Path) -> None:
    """A second instance is refused while the first lives; a killed one frees the lock and is resumed: one write."""
    url = server.database()
    scale = {"namespace": "production", "resource_name": "web-server", "replicas": 5}
    cluster.fault("patch", "deployments", delay_seconds=0.5)
    with executor_process(tmp_path, cluster.kubeconfig, DATABASE_URL=url, **PLAIN) as executor:
        assert executor.order("scale_deployment", scale, key="on-pg").status_code == 202
        with pytest.raises(LedgerBusyError):
            await open_database(url.replace("postgresql://", "postgresql+psycopg://"))
        faults = f"{cluster.url}/sandbox/faults"
        eventually(lambda: "patch" not in cluster.http.get(faults).text, "the write has reached the API server")
        executor.kill()
    with executor_process(tmp_path, cluster.kubeconfig, DATABASE_URL=url) as executor:
        assert executor.finished("on-pg")["status"] == "completed"
        assert executor.undo("on-pg")["status"] == "completed"
    assert len(cluster.writes("web-server")) == 2


@pytest.mark.durability
async def test_cut_database_sessions_do_not_end_the_service(server: Postgres, cluster: Cluster, tmp_path: Path) -> None:
    """The lock is taken again by itself, and the next action works."""
    url = server.database().replace("postgresql://", "postgresql+psycopg://")
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
    others = " AND pid <> pg_backend_pid()"
    locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
    mine = " WHERE l.locktype = 'advisory' AND d.datname = current_database()"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with executor_process(tmp_path, cluster.kubeconfig, DATABASE_URL=url) as executor, admin.connect() as connection:
        assert connection.exec_driver_sql(locks + mine).scalar() == 1
        assert connection.exec_driver_sql(cut + others).scalar_one() > 0
        eventually(lambda: connection.exec_driver_sql(locks + mine).scalar() == 1, "the lock is held again")
        assert executor.execute("notify_only", {"message": "still here"})["status"] == "completed"
        assert executor.stop() == 0
    admin.dispose()


async def test_the_lock_outlasts_an_outage_of_the_database(server: Postgres) -> None:
    """While nobody can be asked nobody else can take it; whoever took it meanwhile keeps it."""
    url = server.database().replace("postgresql://", "postgresql+psycopg://")
    engine, away = create_async_engine(url), create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    lock = await AdvisoryLock.acquire(engine)
    await lock.release()
    lock._engine = away
    assert [await lock.held(), await lock.held()] == [True, True]
    lock._engine = engine
    assert await lock.held()
    with pytest.raises(LedgerBusyError):
        await AdvisoryLock.acquire(engine)
    await lock.release()
    other = await AdvisoryLock.acquire(engine)
    assert not await lock.held()
    await other.release()
    await engine.dispose()
    await away.dispose()
