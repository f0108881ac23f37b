"""The ledger on a real PostgreSQL: the same promises, another lock."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.executor.conftest import Cluster, eventually, executor_process
from tests.support.postgres import Postgres, postgres

from executor_service.ledger.database import LedgerBusyError, open_database


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
    with executor_process(tmp_path, cluster.kubeconfig, DATABASE_URL=url, SYNC_WAIT="100ms") as executor:
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
