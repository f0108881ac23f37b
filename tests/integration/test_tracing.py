"""One trace from who sends the alert to the executor, whatever lies between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.support.replica import HIGH_CPU, Running, act, replica, rules_of
from tests.support.scripted_executor import ScriptedExecutor, failing
from workflow_service.api.observing import Observing
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.trace import trace_of
from workflow_service.telemetry import tracing
from workflow_service.telemetry.metrics import Metrics

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{ID}-{SPAN}-01", "tracestate": "vendor=1"}


class Overheard:
    """An executor; notes for every call what would be passed on to it."""

    def __init__(self, inner: ScriptedExecutor) -> None:
        self._inner = inner
        self.heard: list[tuple[str, dict[str, str]]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if callable(found):
            self.heard.append((name, dict(tracing.onward())))
        return found

    def spans(self, method: str) -> list[str]:
        """The trace ids of the calls of that method."""
        return [headers.get("traceparent", "--").split("-")[1] for name, headers in self.heard if name == method]


async def source_of(running: Running) -> str | None:
    """Who sent the newest delivery, as kept."""
    kept: str | None = (await running.http.get("/api/v1/deliveries")).json()["deliveries"][0]["source"]
    return kept


async def test_from_the_alert_to_the_executor(tmp_path: Path) -> None:
    """The caller's trace is in the answer, in the detail, in every call and every line about the workflow."""
    executor = ScriptedExecutor()
    executor.script("one", failing(ErrorClass.PERMANENT))
    noting = Overheard(executor)
    async with replica(
        tmp_path,
        executor,
        through=lambda _executor: noting,
        RULES_FILE=rules_of(tmp_path, act("zero"), act("one", needs=["zero"])),
    ) as running:
        answer = await running.http.post(
            "/api/v1/execute", json=HIGH_CPU, headers={**HEADERS, "X-Service-Name": "gateway"}
        )
        ours = trace_of([answer.headers["traceparent"]])
        assert ours is not None
        assert (ours.trace_id, ours.sampled) == (ID, True)
        assert ours.span_id != SPAN
        workflow_id = answer.json()["result"]["workflow_id"]
        assert (await running.detail(workflow_id))["trace_id"] == ID
        [kept] = (await running.http.get("/api/v1/alerts")).json()["alerts"]
        assert kept["trace_id"] == ID
        only = await running.http.get(f"/api/v1/workflows/{workflow_id}", params={"fields": "trace_id"})
        assert only.json() == {"trace_id": ID}
        assert set(noting.spans("execute")) == {ID}
        assert len(noting.spans("execute")) == 3  # with the undo
        calls = [headers for name, headers in noting.heard if name == "execute"]
        assert {headers["tracestate"] for headers in calls} == {"vendor=1"}
        assert len({headers["traceparent"] for headers in calls}) == 3
        assert set(noting.spans("observe")) <= {ID}
        assert await source_of(running) == "gateway"
        lines = [line for line in running.log if line.get("workflow_id") == workflow_id]
        assert lines
        assert {line["trace_id"] for line in lines} == {ID}
        request = next(line for line in running.log if line.get("path") == "/api/v1/execute")
        assert (request["trace_id"], request["source"]) == (ID, "gateway")


async def test_it_outlives_a_restart(tmp_path: Path) -> None:
    """What somebody starts later, on another replica, still belongs to the trace of the alert."""
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules) as running:
        body = {"alert": HIGH_CPU, "start": False}
        made = await running.http.post("/api/v1/workflows", json=body, headers=HEADERS)
        workflow_id = made.json()["workflow_id"]
        await running.until(workflow_id, lambda found: found["status"] == "awaiting_approval", "it waits")
    noting = Overheard(ScriptedExecutor())
    async with replica(
        tmp_path,
        ScriptedExecutor(),
        through=lambda _executor: noting,
        RULES_FILE=rules,
    ) as running:
        assert (await running.http.post(f"/api/v1/workflows/{workflow_id}/start", json={})).status_code == 200
        await running.ended(workflow_id)
        assert set(noting.spans("execute")) == {ID}


async def test_what_tells_of_no_trace_begins_one(tmp_path: Path) -> None:
    """Each request without a valid traceparent is a trace of its own, refusals too; its state is dropped."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("one"))) as running:
        wrong = {"traceparent": f"00-{ID.upper()}-{SPAN}-01", "tracestate": "vendor=1"}
        body = {"alerts": [{"labels": {"alertname": "a", "namespace": "n"}}]}
        named = {"X-Service-Name": "x" * 300}
        answers = [
            await running.http.post("/api/v1/alerts", json=body, headers=wrong | named),
            await running.http.post("/api/v1/alerts", json=body),
            await running.http.get("/api/v1/workflows/none"),
            await running.http.get("/no/such/path"),
        ]
        found = [trace_of(answer.headers.get_list("traceparent")) for answer in answers]
        ids = {one.trace_id for one in found if one is not None}
        assert len(ids) == 4
        assert ID not in ids
        workflow_id = answers[0].json()["alerts"][0]["workflow_id"]
        assert found[0] is not None
        assert (await running.ended(workflow_id))["trace_id"] == found[0].trace_id
        listed = (await running.http.get("/api/v1/deliveries")).json()["deliveries"]
        assert [one["source"] for one in listed] == [None, "x" * 200]


async def test_a_bug_of_ours_can_be_found_by_its_ids() -> None:
    """A problem document with the request's id and trace, and a line with the same ones and the traceback."""
    app = FastAPI()

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError

    app.add_middleware(Observing, metrics=Metrics())
    with capture_logs(processors=[merge_contextvars]) as log:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://app") as http:
            answer = await http.get("/broken", headers={**HEADERS, "X-Request-ID": "r-1"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.headers["x-request-id"] == "r-1"
    assert answer.headers["traceparent"].split("-")[1] == ID
    [line] = [line for line in log if line["log_level"] == "error"]
    assert (line["request_id"], line["trace_id"], line["exc_info"]) == ("r-1", ID, True)
