"""Event streams of two replicas: what one does the other tells, and whoever is stopped sends its readers there."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import httpx2
import pytest

from tests.support.postgres import Postgres, postgres
from tests.support.two_replicas import Two

pytestmark = [pytest.mark.durability, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for this module."""
    with postgres() as running:
        yield running


def following(answer: httpx2.Response, ids: list[str]) -> Iterator[tuple[str, str]]:
    """The name and the kind of each event; ids are noted."""
    name = "message"
    for line in answer.iter_lines():
        field, _, value = line.partition(": ")
        if field == "id":
            ids.append(value)
        if field == "event":
            name = value
        if field == "data":
            yield name, json.loads(value).get("event", {}).get("kind", "")
            name = "message"


def test_a_reader_moves_to_the_other_replica(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SIGTERM: bye and the end of the connection, exit 0; there Last-Event-ID goes on where it was, to the very end."""
    with Two(tmp_path_factory.mktemp("two"), server.database()) as two, httpx2.Client(timeout=60) as http:
        two.fault("moved", status=503, times=1000)
        ids: list[str] = []
        with http.stream("GET", f"{two.other.url}/api/v1/events?namespace=staging") as answer:
            workflow_id = two.begin("moved")
            told = following(answer, ids)
            assert ("message", "AttemptFailed") in told  # done by the first replica, told by the second
            two.other.signal(signal.SIGTERM)
            assert ("bye", "") in told
            assert list(told) == []
        assert two.other.stop() == 0
        two.clear()
        with http.stream("GET", f"{two.workflow.url}/api/v1/events", headers={"Last-Event-ID": ids[-1]}) as answer:
            assert ("message", "Ended") in following(answer, ids)
        detail = two.workflow_detail(workflow_id)
        assert sorted({int(one.rpartition(".")[2]) for one in ids}) == [event["seq"] for event in detail["events"]]
