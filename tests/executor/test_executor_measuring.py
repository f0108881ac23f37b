"""Evidence from Prometheus: what its answers mean, and what is said when there is none."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.executor.conftest import Cluster, executor_process

from executor_service.prometheus import Prometheus, PrometheusError, QueryRefusedError

# What Prometheus documents for its HTTP API v1: query -> status and body.
ANSWERS = {
    "up": (200, {"resultType": "vector", "result": [{"metric": {}, "value": [1, "0.5"]}, {"value": [1, "NaN"]}]}),
    "1+1": (200, {"resultType": "scalar", "result": [1, "2"]}),
    "nothing": (200, {"resultType": "vector", "result": []}),
    "up[5m]": (200, {"resultType": "matrix", "result": []}),
    "up(": (400, "parse error: unclosed left parenthesis"),
    "slow": (503, "query timed out"),
    "odd": (200, {"resultType": "vector", "result": [{"value": 7}]}),
}


class _Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)["query"][0]
        status, body = ANSWERS[query]
        told = {"status": "success", "data": body} if status == 200 else {"status": "error", "error": body}
        written = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def prometheus() -> Iterator[str]:
    """The address of a server that answers as Prometheus does."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("query", "facts"),
    [
        ("up", {"value": 0.5, "values": [0.5], "series": 2}),
        ("1+1", {"value": 2.0, "values": [2.0], "series": 1}),
        ("nothing", {}),
    ],
)
async def test_an_answer_becomes_facts(prometheus: str, query: str, facts: dict[str, object]) -> None:
    """The first series' value, all of them, and how many; not-a-number is no value, and no series is no fact."""
    source = Prometheus(prometheus)
    assert (await source.query(query)).facts == facts
    await source.close()


@pytest.mark.parametrize(
    ("query", "kind"),
    [("up(", QueryRefusedError), ("slow", PrometheusError), ("odd", PrometheusError), ("up[5m]", PrometheusError)],
)
async def test_what_is_no_answer_is_said(prometheus: str, query: str, kind: type[Exception]) -> None:
    """A wrong query is told from a server that cannot answer, and from an answer that makes no sense."""
    source = Prometheus(prometheus)
    with pytest.raises(kind) as caught:
        await source.query(query)
    assert type(caught.value) is kind
    await source.close()


async def test_a_server_that_is_away_is_no_answer() -> None:
    """Nobody listens: that is said, and nothing else happens."""
    source = Prometheus("http://127.0.0.1:1")
    with pytest.raises(PrometheusError, match="did not answer"):
        await source.query("up")
    await source.close()


def test_observe_takes_a_query(prometheus: str, cluster: Cluster, tmp_path: Path) -> None:
    """Over HTTP: facts for a query, 422 naming the rule for a wrong one, 502 when Prometheus fails."""
    with executor_process(tmp_path, cluster.kubeconfig, PROMETHEUS_URL=prometheus) as executor:
        seen = executor.http.post("/api/v1/observe", json={"promql": "up"})
        assert (seen.status_code, seen.json()["found"], seen.json()["facts"]["value"]) == (200, True, 0.5)
        assert executor.http.post("/api/v1/observe", json={"promql": "nothing"}).json()["found"] is False
        wrong = executor.http.post("/api/v1/observe", json={"promql": "up("})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "promql")
        assert executor.http.post("/api/v1/observe", json={"promql": "slow"}).status_code == 502
        both = executor.http.post("/api/v1/observe", json={"promql": "up", "kind": "Node", "name": "node-1"})
        assert both.status_code == 422
        neither = executor.http.post("/api/v1/observe", json={})
        assert neither.status_code == 422


def test_without_prometheus_nothing_is_asked(cluster: Cluster, tmp_path: Path) -> None:
    """A query is refused with the setting that is missing."""
    with executor_process(tmp_path, cluster.kubeconfig) as executor:
        refused = executor.http.post("/api/v1/observe", json={"promql": "up"})
    assert refused.status_code == 422
    assert "PROMETHEUS_URL" in refused.json()["detail"]
