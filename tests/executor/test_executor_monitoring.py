"""create_silence, expire_silence, query_metrics and call_webhook, against real HTTP servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.executor.conftest import Cluster, Executor, executor_process
from tests.support.outside import Outside

from executor_service.contract import ActionFailedError
from executor_service.notify.webhooks import Webhooks
from executor_service.settings import load

pytestmark = pytest.mark.requirement("BR-WF-013")


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A fresh one for every test."""
    outside = Outside()
    yield outside
    outside.close()


@pytest.fixture
def monitor(cluster: Cluster, outside: Outside, tmp_path: Path) -> Iterator[Executor]:
    """An executor that knows all three."""
    settings = {
        "ALERTMANAGER_URL": outside.url,
        "PROMETHEUS_URL": outside.url,
        "WEBHOOK_ALLOWED_HOSTS": f"!http://127.0.0.1:{outside.port},http://localhost",
    }
    with executor_process(tmp_path, cluster.kubeconfig, **settings) as executor:
        yield executor


SILENCE = {"matchers": {"alertname": "DiskFull", "namespace": "production"}, "comment": "being repaired"}


def test_a_silence_is_made_once_and_ended_by_undo(monitor: Executor, outside: Outside) -> None:
    """It has the matchers and an end; after a lost answer it is recognised; undo ends it."""
    outside.swallow = "POST"
    result = monitor.execute("silence_alert", SILENCE | {"duration": "2h"}, key="quiet")
    assert (result["status"], result["result"]["silence_id"]) == ("completed", "silence-1"), result
    (silence,) = outside.silences.values()
    assert {matcher["name"]: matcher["value"] for matcher in silence["matchers"]} == SILENCE["matchers"]
    assert (result["changes"][0]["kind"], result["undo"]["available"]) == ("Silence", True)
    undone = monitor.undo("quiet")
    assert (undone["status"], silence["status"]["state"]) == ("completed", "expired"), undone
    assert monitor.by_key("quiet").json()["undo"]["available"] is False


def test_bounds_and_dry_run_of_a_silence(monitor: Executor, outside: Outside) -> None:
    """Nothing is made; what is wrong is named; a silence of everything is refused."""
    outside.silences["known"] = {"id": "known", "comment": "", "status": {"state": "active"}}
    dry = monitor.execute("create_silence", SILENCE, dry_run=True)
    assert (dry["status"], list(outside.silences), dry["result"]["silence_id"]) == ("completed", ["known"], None)
    bad = monitor.order("create_silence", SILENCE | {"duration": "forever"})
    assert bad.json()["errors"][0]["field"] == "action.parameters.duration"
    assert monitor.order("create_silence", {"comment": "x", "matchers": {}}).status_code == 422
    empty = monitor.execute("create_silence", {"comment": "x", "matchers": {"a": ""}})
    assert empty["error"]["class"] == "permanent"


def test_a_silence_is_ended(monitor: Executor, outside: Outside) -> None:
    """Dry run tells; a second time is a success; undo is refused with the reason; an unknown id is not found."""
    monitor.execute("create_silence", SILENCE)
    target = {"silence_id": "silence-1"}
    assert monitor.execute("expire_silence", target, dry_run=True)["changes"][0]["after"] == "expired"
    assert outside.silences["silence-1"]["status"]["state"] == "active"
    result = monitor.execute("expire_silence", target)
    assert outside.silences["silence-1"]["status"]["state"] == "expired"
    assert monitor.execute("expire_silence", target)["result"] == {"already": True}
    assert monitor.undo(result["key"])["status"] == "refused"
    assert monitor.execute("expire_silence", {"silence_id": "nobody"})["error"]["class"] == "not_found"
    assert monitor.order("expire_silence", {"silence_id": "a/b"}).status_code == 422


def test_metrics_are_evidence(monitor: Executor) -> None:
    """Values come back; a comparison that does not hold fails the action with the values in the result."""
    assert monitor.execute("query_metrics", {"promql": "up"})["result"]["value"] == 0.5
    assert monitor.execute("query_metrics", {"query": "up", "comparison": "<", "threshold": 1})["success"] is True
    failed = monitor.execute("query_metrics", {"query": "up", "comparison": ">", "threshold": 1})
    assert (failed["success"], failed["result"]["value"]) == (False, 0.5)
    assert monitor.execute("query_metrics", {"query": "up", "threshold": 1})["status"] == "refused"
    assert monitor.order("query_metrics", {"query": ""}).json()["errors"][0]["field"] == "action.parameters.query"


def test_a_webhook_is_called_once_with_the_key(monitor: Executor, outside: Outside) -> None:
    """Body and key arrive; dry run calls nobody; undo is refused with the reason."""
    order = {"url": f"{outside.url}/hook?x=1", "payload": {"a": 1}}
    assert monitor.execute("call_webhook", order, dry_run=True)["result"] == {"called": False}
    assert outside.calls == []
    result = monitor.execute("webhook", order, key="hooked")
    assert (result["result"]["status"], outside.calls) == (200, [("POST", "/hook?x=1", "hooked", {"a": 1})]), result
    monitor.execute("webhook", order, key="hooked")
    assert len(outside.calls) == 1
    assert monitor.undo("hooked")["status"] == "refused"


@pytest.mark.parametrize(
    ("status", "error_class"), [(302, "permanent"), (400, "permanent"), (503, "transient"), (429, "throttled")]
)
def test_a_webhooks_refusal_has_a_class(monitor: Executor, outside: Outside, status: int, error_class: str) -> None:
    """Redirects are not followed."""
    outside.status = status
    result = monitor.execute("call_webhook", {"url": f"{outside.url}/hook"})
    assert (result["error"]["class"], len(outside.calls)) == (error_class, 1)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://elsewhere.example/x", "not allowed"),
        ("http://user:word@127.0.0.1/x", "name or a password"),
        ("http://127.0.0.1:1/x", "not allowed"),
        ("http://localhost:{port}/x", "loopback"),
    ],
)
def test_a_webhook_stays_where_it_is_allowed(monitor: Executor, outside: Outside, url: str, words: str) -> None:
    """An unlisted host, credentials, another port, and a listed name that resolves to loopback: refused, no call."""
    result = monitor.execute("call_webhook", {"url": url.replace("{port}", str(outside.port))})
    assert (result["status"], result["error"]["class"], words in result["message"]) == ("refused", "forbidden", True), (
        result
    )
    assert outside.calls == []
    answer = monitor.order("call_webhook", {"url": "ftp://x"})
    assert answer.json()["errors"][0]["field"] == "action.parameters.url"


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])  # noqa: S104 - an address
async def test_metadata_services_are_out_of_reach(host: str) -> None:
    """Even a listed address is refused when it is link-local, loopback or unspecified and not marked with `!`."""
    hooks = Webhooks(load({"WEBHOOK_ALLOWED_HOSTS": f"http://{host}"}).webhook_allowed_hosts)
    with pytest.raises(ActionFailedError, match="loopback"):
        await hooks.call("POST", f"http://{host}/latest", {}, key="k", secrets={})


def test_unconfigured_outside_is_not_offered(executor: Executor) -> None:
    """The settings that are missing are named."""
    missing = {entry["type"]: entry["reason"] for entry in executor.http.get("/api/v1/actions").json()["unavailable"]}
    assert missing["create_silence"] == "ALERTMANAGER_URL is not set"
    assert missing["query_metrics"] == "PROMETHEUS_URL is not set"
    assert missing["call_webhook"] == "WEBHOOK_ALLOWED_HOSTS is not set"
