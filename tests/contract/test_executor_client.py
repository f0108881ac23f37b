"""The executor client against wire answers as executors, proxies and broken networks give them, over real HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from workflow_service.clients.executor import ANSWER_CAP, HttpExecutor, Patience
from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import ErrorClass, Misunderstood, OtherLedger, Unanswered, Unreachable
from workflow_service.domain.target import Target
from workflow_service.domain.trace import Trace
from workflow_service.ports import ActionRequest, Executor, NeverSeen
from workflow_service.telemetry import tracing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Call = Callable[[Executor], Awaitable[object]]

REQUEST = ActionRequest(
    key="e1:scale[web/1]",
    step_id="scale",
    type="scale_deployment",
    parameters={"replicas": 3},
    alert={"name": "HighCPUUsage"},
    workflow_id="w1",
    execution_id="e1",
    attempt=1,
    remaining_seconds=30.0,
    cluster="default",
)
POD = Target("default", "Pod", "web-1", "production")
FINISHED: dict[str, Any] = {
    "success": True,
    "action_id": "a1",
    "key": REQUEST.key,
    "status": "completed",
    "message": "scaled",
    "timestamp": "2026-11-22T00:00:00Z",
    "result": {"replicas": 3},
    "changes": [{"kind": "Deployment", "name": "web", "field": "/spec/replicas", "before": 1, "after": 3}],
    "undo": {"available": True},
    "error": None,
    "ledger_id": "L1",
}
FOREIGN = {name: FINISHED[name] for name in ("success", "action_id", "status", "message", "timestamp")}
CATALOGUE = {
    "digest": "sha256:1",
    "cluster": "default",
    "ledger_id": "L1",
    "actions": [{"type": "drain_node", "risk": "low", "reversible": False, "default_timeout_seconds": 60}],
}


class ScriptedExecutor:
    """A real HTTP server whose answers a test scripts; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.script: list[Handler] = []
        self.url = ""

    def says(self, *answers: Handler) -> None:
        """The answers to come, in this order; the last one repeats."""
        self.script = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the question and give the next answer."""
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.raw_path, dict(request.headers), body))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await answer(request)


def answer(status: int, document: Any, *, kind: str = "application/json") -> Handler:
    """An answer with a JSON body."""

    async def give(request: web.Request) -> web.StreamResponse:
        return web.json_response(document, status=status, content_type=kind)

    return give


def problem(status: int, **members: Any) -> Handler:
    """A problem document."""
    return answer(status, {"type": "about:blank", "status": status, **members}, kind="application/problem+json")


def text(status: int, body: str, **headers: str) -> Handler:
    """What proxies and portals say."""

    async def give(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers=headers)

    return give


async def cut(request: web.Request) -> web.StreamResponse:
    """The connection dies before an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_half_way(request: web.Request) -> web.StreamResponse:
    """The connection dies within the answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"success": true,')
    assert request.transport is not None
    request.transport.close()
    return response


async def never(request: web.Request) -> web.StreamResponse:
    """No answer at all."""
    await asyncio.Event().wait()
    return web.Response()


@pytest.fixture
async def peer() -> AsyncIterator[ScriptedExecutor]:
    """The scripted executor on a free port."""
    scripted = ScriptedExecutor()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.handle)
    runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield scripted
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[SharedSession]:
    """The process's one session."""
    shared = SharedSession()
    yield shared
    await shared.close()


@pytest.fixture
def client(peer: ScriptedExecutor, session: SharedSession) -> HttpExecutor:
    """The client under test."""
    return HttpExecutor(peer.url, session, token=lambda: "t0ken", patience=Patience(pauses=(0.001, 0.001)))


@pytest.fixture
def hasty(peer: ScriptedExecutor, session: SharedSession) -> HttpExecutor:
    """The client with hardly any patience."""
    return HttpExecutor(peer.url, session, token=lambda: None, patience=Patience(effect=0.2, read=0.2, health=0.2))


@contextmanager
def refused_port() -> Iterator[int]:
    """A port that nobody listens on and nobody else can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@contextmanager
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel answers nobody else any more."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        port = int(listening.getsockname()[1])
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            yield port
        finally:
            for one in waiting:
                one.close()


async def test_every_call_carries_the_trace(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """Each call is a span of its own in the trace of the work at hand; outside of one it says nothing."""
    peer.says(answer(200, FINISHED))
    await client.by_key(REQUEST.key)
    trace = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True, state="vendor=1")
    with tracing.within(trace):
        await client.execute(REQUEST)
        await client.by_key(REQUEST.key)
        await client.cancel(REQUEST.key)
    sent = [headers for _, _, headers, _ in peer.asked]
    assert "traceparent" not in sent[0]
    assert {headers["tracestate"] for headers in sent[1:]} == {"vendor=1"}
    parents = {headers["traceparent"] for headers in sent[1:]}
    assert len(parents) == 3
    assert {parent.split("-")[1] for parent in parents} == {trace.trace_id}
    assert trace.parent not in parents


async def test_execute_speaks_the_contract(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """The request has the contract's route, headers and body; the answer comes back whole."""
    peer.says(answer(200, FINISHED))
    outcome = await client.execute(REQUEST)
    ((method, path, headers, body),) = peer.asked
    assert (method, path) == ("POST", "/api/v1/execute")
    assert headers["Idempotency-Key"] == REQUEST.key
    assert headers["Authorization"] == "Bearer t0ken"
    assert body["action"]["parameters"] == {"replicas": 3}
    assert body["alert"] == {"name": "HighCPUUsage"}
    assert body["context"] == {
        "workflow_id": "w1",
        "execution_id": "e1",
        "step_id": "scale",
        "attempt": 1,
        "remaining_seconds": 30.0,
        "dry_run": False,
        "cluster": "default",
    }
    assert outcome.success
    assert outcome.final
    assert outcome.changes[0]["after"] == 3
    assert (outcome.action_id, outcome.undo_available, outcome.ledger_id) == ("a1", True, "L1")


@pytest.mark.parametrize(
    "unspeakable",
    [
        REQUEST._replace(key="a\r\nX-Evil: 1"),
        REQUEST._replace(key=""),
        REQUEST._replace(parameters={"replicas": 2**70}),
    ],
)
async def test_requests_that_cannot_be_said(
    peer: ScriptedExecutor, client: HttpExecutor, unspeakable: ActionRequest
) -> None:
    """A key that is no header value or a body that is no JSON is the request's fault and is never sent."""
    with pytest.raises(Misunderstood):
        await client.execute(unspeakable)
    assert peer.asked == []


async def test_running_answer(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """202 means that the action goes on."""
    peer.says(answer(202, FINISHED | {"success": False, "status": "running", "progress": "1 of 3 pods"}))
    outcome = await client.execute(REQUEST)
    assert not outcome.final
    assert outcome.progress == "1 of 3 pods"


async def test_failed_action_is_a_value(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """A finished action that failed is an outcome with its class, not an exception."""
    error = {"class": "conflict", "message": "changed meanwhile"}
    peer.says(answer(200, FINISHED | {"success": False, "status": "failed", "message": "", "error": error}))
    outcome = await client.execute(REQUEST)
    assert (outcome.status, outcome.error_class, outcome.message) == (
        "failed",
        ErrorClass.CONFLICT,
        "changed meanwhile",
    )


async def test_a_refusal_may_come_as_403(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """With a result that says `refused` it is an outcome with its class; a result that says anything else is none."""
    error = {"class": "forbidden", "message": "namespace_protected: ..."}
    refusal = FINISHED | {"success": False, "status": "refused", "message": "", "error": error}
    peer.says(answer(403, refusal))
    outcome = await client.execute(REQUEST)
    assert (outcome.status, outcome.error_class) == ("refused", ErrorClass.FORBIDDEN)
    peer.says(answer(403, refusal | {"status": "completed", "success": True}))
    with pytest.raises(Misunderstood):
        await client.execute(REQUEST)


@pytest.mark.parametrize(
    ("status", "success", "said", "meant"),
    [
        (200, True, "completed", "completed"),
        (200, True, "success", "completed"),
        (200, False, "completed", "failed"),
        (200, True, "failed", "failed"),
        (202, True, "executing", "running"),
        (500, False, "error", "failed"),
    ],
)
async def test_foreign_executors(
    peer: ScriptedExecutor,
    client: HttpExecutor,
    status: int,
    success: bool,
    said: str,
    meant: str,
) -> None:
    """Executors that answer five fields only are understood; in a contradiction the worse half is believed."""
    peer.says(answer(status, FOREIGN | {"success": success, "status": said}))
    outcome = await client.execute(REQUEST)
    assert (outcome.status, outcome.ledger_id) == (meant, None)
    assert outcome.error_class == (ErrorClass.UNKNOWN if meant == "failed" else None)
    assert not outcome.undo_available


async def test_refused_connection_is_unreachable(session: SharedSession) -> None:
    """Where nobody listens nothing can have arrived, for effects and reads alike."""
    with refused_port() as port:
        client = HttpExecutor(f"http://127.0.0.1:{port}", session, token=lambda: None)
        for call in (client.execute(REQUEST), client.cancel("k"), client.by_key("k"), client.ledger_id()):
            with pytest.raises(Unreachable):
                await call
        assert not await client.healthy()


async def test_unknown_name_is_unreachable(session: SharedSession) -> None:
    """A name that nobody knows is told apart from a silent executor."""
    client = HttpExecutor("http://executor.invalid:8084", session, token=lambda: None)
    with pytest.raises(Unreachable):
        await client.execute(REQUEST)


async def test_tls_to_a_plain_server_is_unreachable(peer: ScriptedExecutor, session: SharedSession) -> None:
    """A failed TLS handshake has transported no request."""
    client = HttpExecutor(peer.url.replace("http:", "https:"), session, token=lambda: None)
    with pytest.raises(Unreachable):
        await client.execute(REQUEST)
    assert peer.asked == []


EFFECTS: list[Call] = [lambda client: client.execute(REQUEST), lambda client: client.cancel("k")]
READS: list[Call] = [
    lambda client: client.by_key("k"),
    lambda client: client.observe(POD),
    lambda client: client.catalogue(),
    lambda client: client.ledger_id(),
]
SILENCES: list[tuple[str, Handler]] = [
    ("cut", cut),
    ("cut half way", cut_half_way),
    ("oversize", answer(200, FINISHED | {"message": "x" * ANSWER_CAP})),
    ("html", text(200, "<html>Welcome to the airport</html>")),
    ("no result", answer(200, {"hello": "world"})),
    ("list", answer(200, [1])),
    ("500", text(500, "Internal Server Error")),
    ("502", text(502, "Bad Gateway")),
    ("503", problem(503, title="Ledger away")),
    ("504", text(504, "Gateway Timeout")),
    ("408", text(408, "")),
    ("303", text(303, "", Location="/elsewhere")),
]


@pytest.mark.parametrize("call", EFFECTS)
@pytest.mark.parametrize("silence", [handler for _, handler in SILENCES], ids=[name for name, _ in SILENCES])
async def test_effects_without_an_answer(
    peer: ScriptedExecutor, client: HttpExecutor, call: Call, silence: Handler
) -> None:
    """Once an effect may have been sent every missing result is `Unanswered`, and nothing is ever sent twice."""
    peer.says(silence)
    with pytest.raises(Unanswered):
        await call(client)
    assert len(peer.asked) == 1


@pytest.mark.parametrize("silence", [cut, text(502, ""), text(503, ""), text(504, "")])
@pytest.mark.parametrize("call", READS)
async def test_reads_without_an_answer(
    peer: ScriptedExecutor, client: HttpExecutor, call: Call, silence: Handler
) -> None:
    """Reads are asked three times; a proxy's silence is never taken for an answer about the ledger."""
    peer.says(silence)
    with pytest.raises(Unanswered):
        await call(client)
    assert len(peer.asked) in {3, 6}  # aiohttp itself repeats a GET whose connection was cut


@pytest.mark.parametrize("trouble", [cut, text(503, "")])
async def test_reads_survive_short_trouble(peer: ScriptedExecutor, client: HttpExecutor, trouble: Handler) -> None:
    """A read that fails twice still brings its answer."""
    peer.says(trouble, trouble, answer(200, FINISHED))
    known = await client.by_key("k")
    assert not isinstance(known, NeverSeen)
    assert known.success


async def test_slow_answers_are_unanswered(peer: ScriptedExecutor, hasty: HttpExecutor) -> None:
    """Whoever does not answer in time may still be at it."""
    peer.says(never)
    for call in (hasty.execute(REQUEST), hasty.cancel("k"), hasty.by_key("k"), hasty.observe(POD)):
        with pytest.raises(Unanswered):
            await call
    assert not await hasty.healthy()


async def test_an_order_is_not_waited_for_past_its_time(peer: ScriptedExecutor, session: SharedSession) -> None:
    """However patient the client is with effects, an order is unanswered soon after its remaining time."""
    peer.says(never)
    client = HttpExecutor(peer.url, session, token=lambda: None, patience=Patience(effect=50.0, last_word=0.2))
    with pytest.raises(Unanswered):
        async with asyncio.timeout(20):
            await client.execute(REQUEST._replace(remaining_seconds=0.1))
    assert peer.asked[0][3]["context"]["remaining_seconds"] == 0.1


async def test_a_host_that_does_not_connect_is_unreachable(session: SharedSession) -> None:
    """A connection that is not there after 2 s is given up, whatever the call itself may take: nothing has arrived."""
    with full_port() as port:
        client = HttpExecutor(f"http://127.0.0.1:{port}", session, token=lambda: None)
        for call in (client.execute(REQUEST), client.cancel("k")):
            with pytest.raises(Unreachable):
                await call


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 422])
async def test_refused_requests(peer: ScriptedExecutor, client: HttpExecutor, status: int) -> None:
    """A 4xx is the request's fault; the problem's detail and broken rules are told."""
    broken = [{"field": "parameters.replicas", "value": -1, "rule": "must be at least 0"}]
    peer.says(problem(status, title="Bad", detail="cannot do that", errors=broken))
    for call in (*EFFECTS, READS[1]):
        with pytest.raises(Misunderstood, match=r"cannot do that; parameters\.replicas: -1 must be at least 0"):
            await call(client)


async def test_an_order_for_another_ledger(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """The order names its ledger; that another refuses it is told, and the other is known from then on."""
    peer.says(problem(412, detail="not for me", ledger_id="L2"))
    with pytest.raises(OtherLedger, match="keeps ledger L2 now, and the order was for L1"):
        await client.execute(REQUEST._replace(ledger_id="L1"))
    assert [headers["Ledger-Id"] for _, _, headers, _ in peer.asked] == ["L1"]
    assert await client.ledger_id() == "L2"
    assert len(peer.asked) == 1


@pytest.mark.parametrize(("asked", "named"), [("L1", "L1"), ("L1", None), ("L1", 5), ("a\r\nb", None)])
async def test_other_412s_are_the_requests_fault(
    peer: ScriptedExecutor, client: HttpExecutor, asked: str, named: object
) -> None:
    """Whoever names no other ledger has not said that nothing was begun; no header is made of what is none."""
    peer.says(problem(412, detail="no", ledger_id=named))
    with pytest.raises(Misunderstood):
        await client.execute(REQUEST._replace(ledger_id=asked))
    assert [headers.get("Ledger-Id") for _, _, headers, _ in peer.asked] == ["L1" if asked == "L1" else None]


async def test_throttled_request_did_not_arrive(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """429 turns a request away before it is looked at (RFC 6585): nothing can have happened."""
    peer.says(text(429, "slow down"))
    with pytest.raises(Unreachable):
        await client.execute(REQUEST)


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_redirects_are_not_followed(peer: ScriptedExecutor, client: HttpExecutor, status: int) -> None:
    """A redirect is never followed, for it could lead the token anywhere; the message says what to set."""
    peer.says(text(status, "", Location=f"{peer.url}/elsewhere"))
    with pytest.raises(Misunderstood, match="EXECUTOR_SERVICE_URL"):
        await client.execute(REQUEST)
    assert len(peer.asked) == 1


async def test_by_key(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """A known key brings its result, an unknown one the ledger that does not know it; keys are escaped in the path."""
    peer.says(answer(200, FINISHED), problem(404, title="Not Found", ledger_id="L2"))
    known = await client.by_key(REQUEST.key)
    assert not isinstance(known, NeverSeen)
    assert known.success
    assert await client.by_key("other") == NeverSeen("L2")
    assert peer.asked[0][1] == "/api/v1/actions/by-key/e1%3Ascale%5Bweb%2F1%5D"


@pytest.mark.parametrize("stranger", [text(404, "default backend - 404"), problem(404, title="Not Found")])
async def test_404_by_key_without_a_ledger(peer: ScriptedExecutor, client: HttpExecutor, stranger: Handler) -> None:
    """A 404 that names no ledger is a proxy's or a stranger's: it must never pass for "this key was never seen"."""
    peer.says(stranger)
    with pytest.raises(Unanswered):
        await client.by_key("k")


async def test_cancel(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """Cancel goes to the key's own route and brings the tombstone."""
    peer.says(answer(200, FINISHED | {"success": False, "status": "cancelled", "changes": []}))
    outcome = await client.cancel("a/b")
    assert (outcome.status, outcome.final, outcome.changes, outcome.error_class) == ("cancelled", True, (), None)
    assert peer.asked[0][:2] == ("POST", "/api/v1/actions/by-key/a%2Fb/cancel")


async def test_catalogue(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """The catalogue comes parsed and raw."""
    peer.says(answer(200, CATALOGUE))
    offered, raw = await client.catalogue()
    assert (offered.digest, list(offered.actions), raw["cluster"]) == ("sha256:1", ["drain_node"], "default")


async def test_ledger_is_asked_once_for_all(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """Many who ask for the ledger at once cause one question, and for some seconds none."""
    peer.says(answer(200, CATALOGUE))
    assert await asyncio.gather(*(client.ledger_id() for _ in range(20))) == ["L1"] * 20
    assert await client.ledger_id() == "L1"
    assert len(peer.asked) == 1


async def test_ledger_follows_what_by_key_says(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """An executor that came back with another ledger is noticed by the next answer by key."""
    peer.says(answer(200, CATALOGUE), problem(404, ledger_id="L2"))
    assert await client.ledger_id() == "L1"
    await client.by_key("k")
    assert await client.ledger_id() == "L2"
    assert len(peer.asked) == 2


@pytest.mark.parametrize("stranger", [problem(404), answer(200, {"actions": []})])
async def test_executor_without_a_ledger(peer: ScriptedExecutor, client: HttpExecutor, stranger: Handler) -> None:
    """A foreign executor without catalogue or ledger id has no ledger."""
    peer.says(stranger)
    assert await client.ledger_id() is None


async def test_ledger_question_outlives_a_cancelled_caller(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """One caller that gives up does not take the answer from the others."""
    peer.says(answer(200, CATALOGUE))
    impatient, patient = (asyncio.create_task(client.ledger_id()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "L1"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_observe(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """Facts and owners come back as values of our cluster."""
    seen = {
        "found": False,
        "facts": {"ready_replicas": 2},
        "owners": [
            {"kind": "ReplicaSet", "namespace": "production", "name": "web-5d"},
            {"kind": "Deployment", "namespace": "production", "name": "web"},
        ],
        "observed_at": "2026-11-22T10:00:00Z",
    }
    peer.says(answer(200, seen))
    observation = await client.observe(POD)
    assert peer.asked[0][3] == {"kind": "Pod", "namespace": "production", "name": "web-1"}
    assert (observation.found, observation.facts) == (False, {"ready_replicas": 2})
    assert observation.owners[-1] == Target("default", "Deployment", "web", "production")
    assert observation.observed_at == datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"found": True, "observed_at": "yesterday"},
        {"found": True, "observed_at": "2026-11-22T10:00:00Z", "owners": [1]},
    ],
)
async def test_senseless_observation(peer: ScriptedExecutor, client: HttpExecutor, nonsense: dict[str, Any]) -> None:
    """An observation that makes no sense is no observation."""
    peer.says(answer(200, nonsense))
    with pytest.raises(Unanswered, match="makes no sense"):
        await client.observe(POD)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (401, True), (503, False)])
async def test_healthy(peer: ScriptedExecutor, client: HttpExecutor, status: int, healthy: bool) -> None:
    """Health is whether it answers; a server error is no answer."""
    peer.says(text(status, ""))
    assert await client.healthy() is healthy


async def test_answers_at_the_cap_are_read(peer: ScriptedExecutor, client: HttpExecutor) -> None:
    """An answer just below the cap is fine."""
    peer.says(answer(200, FINISHED | {"message": "x" * (ANSWER_CAP - 2000)}))
    assert (await client.execute(REQUEST)).success


async def test_token_is_asked_at_every_call(peer: ScriptedExecutor, session: SharedSession) -> None:
    """A rotated token is used without a restart; without one no header is sent."""
    tokens: list[str | None] = ["one", "two", None]
    client = HttpExecutor(peer.url, session, token=lambda: tokens.pop(0))
    peer.says(answer(200, FINISHED))
    for _ in range(3):
        await client.execute(REQUEST)
    assert [headers.get("Authorization") for _, _, headers, _ in peer.asked] == ["Bearer one", "Bearer two", None]
