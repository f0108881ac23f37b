"""Alerts and a PostgreSQL that is stopped: what was not stored is not acknowledged, and senders are told to repeat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from tests.support.postgres import Postgres, postgres
from tests.support.processes import Stack, eventually
from tests.support.replica import HIGH_CPU
from tests.unit.test_alertmanager import a_notification, an_alert

pytestmark = [pytest.mark.durability, pytest.mark.timeout(180), pytest.mark.requirement("BR-WF-001")]


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL that this test may stop."""
    with postgres() as running:
        yield running


def _rows(url: str, table: str) -> int:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        found = int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())  # noqa: S608
    engine.dispose()
    return found


def test_a_stopped_database(tmp_path: Path, server: Postgres) -> None:
    """503 and Retry-After for alerts good or broken, 500 on execute; once it is back all is as before."""
    url = server.database()
    with Stack(tmp_path, database_url=url, LEASE_TTL="2s") as stack:
        alerts = f"{stack.workflow.url}/api/v1/alerts"

        def send(body: bytes | None = None) -> httpx2.Response:
            content = {"content": body} if body is not None else {"json": a_notification(an_alert(1))}
            return stack.http.post(alerts, **content)

        assert send().status_code == 200
        server.stop()
        for answer in (send(), send(b"no JSON")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
            assert answer.json()["title"] == "Store unavailable"
        answer = stack.execute(HIGH_CPU)
        assert (answer.status_code, answer.headers["retry-after"]) == (500, "5")
        assert stack.http.get(f"{stack.workflow.url}/livez").status_code == 200
        server.start()
        eventually(lambda: send().status_code == 200, "alerts are taken again")
        again = _rows(url, "deliveries")
        assert again == _rows(url, "alerts") == 2
