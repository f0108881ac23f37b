"""One HTTP connection with deadlines and a cap on its head, which uvicorn has not (Kludex/uvicorn#157).

It overrides callbacks of uvicorn's httptools protocol that are not public: uvicorn is pinned, and
tests/integration/test_http_server.py must pass before the pin moves.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from workflow_service.api.early_answers import crowded, raw_problem
from workflow_service.domain.permissions import About, need_of

ABORT = "workflow_service.abort"  # an ASGI extension: drop the connection and what it has not taken yet
_PIECE = 8 * 1024  # bytes
_TURN_SECONDS = 1.0  # to read what came in time: while this process stood still nobody did
_LINGER_SECONDS = 2.0  # for the client to read a refusal before the connection goes


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost. Seconds and bytes."""

    head_seconds: float = 10.0  # from the first byte, or from connecting, to the end of the headers
    body_seconds: float = 30.0
    body_rate: int = 8 * 1024  # bytes of a body with alerts that buy a second more: a slow link loses none
    head_bytes: int = 32 * 1024
    keep_alive_seconds: int = 15
    concurrency: int = 2000  # connections or running requests; more get 503
    grace_seconds: int = 20  # for requests in flight when the server stops


class GuardedConnection(HttpToolsProtocol):
    """Answers 408 and 431 as problem documents and then closes; never within a response that has begun.

    Who brings alerts too slowly gets 503 instead of 408: senders such as Alertmanager never repeat what got a 4xx.
    """

    limits = Limits()
    _deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0
    _partial_bytes = 0  # of a head whose parts httptools still holds back
    _events = 0  # beginnings and ends of heads and requests; a chunk without one lies within a head or a body
    _refused = False
    _brings_alerts = False
    _body_until = 0.0  # loop time at which a body must have come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the clock for the first request."""
        super().connection_made(transport)
        self._arm(self.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, unless the request was refused already; then read on only to throw away."""
        at = 0
        while at < len(data) and not self._refused:
            # A head is looked at in pieces: what comes in one with its beginning could not be counted.
            piece = data[at : at + _PIECE] if self._in_head else data[at:]
            at += len(piece)
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        events = self._events
        super().data_received(piece)
        if self._in_head and not self.transport.is_closing():
            self._await_head(len(piece) if self._events == events else 0)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"now": self.transport.abort}}
        self._events += 1
        self._in_head, self._head_bytes, self._partial_bytes = True, 0, 0
        self._arm(self.limits.head_seconds)

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        if not self._refused:
            super().on_url(url)
            self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count one header."""
        if not self._refused:
            super().on_header(name, value)
            self._count(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """The head is whole: from here on the body's clock runs."""
        if not self._refused:
            super().on_headers_complete()
            self._events += 1
            self._in_head = False
            need = need_of(self.scope["method"], self.scope["path"])
            self._brings_alerts = need is not None and need[0].about is About.INTAKE
            self._body_until = self.loop.time() + self.limits.body_seconds
            self._arm(self.limits.body_seconds)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._refused:
            self._body_until += len(body) / self.limits.body_rate if self._brings_alerts else 0.0
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the application may take its time."""
        if not self._refused:
            self._disarm()
            super().on_message_complete()
            self._events += 1
            self._in_head = True

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP as a problem document."""
        self._refuse(400, msg)

    # uvicorn has a type of its own for the same thing.
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        super()._start_asgi_task(cycle, crowded if app is service_unavailable else app)  # type: ignore[arg-type]

    def _await_head(self, more: int) -> None:
        self._partial_bytes += more
        self._check_head(self._partial_bytes)
        # Bytes that begin no request, such as empty lines, have just stopped uvicorn's keep-alive clock.
        if self._deadline is None and self._idle() and not self._refused:
            self._arm(self.limits.head_seconds)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        self._check_head(self._head_bytes)

    def _check_head(self, size: int) -> None:
        if size > self.limits.head_bytes and not self._refused:
            self._refuse(431, f"request line and headers: must be at most {self.limits.head_bytes} bytes")

    def _idle(self) -> bool:
        cycle = self._latest()
        return cycle is None or cycle.response_complete

    def _latest(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first request, whatever uvicorn's annotation says

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if not self._goes_on():
            self._deadline = self.loop.call_later(_TURN_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self._goes_on():
            return
        limits = self.limits
        if self._in_head:
            self._refuse(408, f"headers: must arrive within {limits.head_seconds:g} seconds")
        elif self._brings_alerts:
            rate = f"a second more for each {limits.body_rate} bytes"
            self._refuse(503, f"body: must arrive within {limits.body_seconds:g} seconds, and {rate}")
        else:
            self._refuse(408, f"body: must arrive within {limits.body_seconds:g} seconds")

    def _goes_on(self) -> bool:
        """Whether there is time left after all; the clock runs again then."""
        if self.pipeline or self.flow.read_paused or (self._in_head and not self._idle()):
            # It is our turn: an earlier request is being answered, or what has come is not taken yet.
            self._arm(self.limits.head_seconds if self._in_head else self.limits.body_seconds)
            return True
        left = self._body_until - self.loop.time()
        if self._in_head or left <= 0.0:
            return False
        self._arm(left)
        return True

    def _refuse(self, status: int, detail: str) -> None:
        self._refused = True
        self._disarm()
        if self.transport.is_closing():
            return
        idle = self._idle()
        # Within a head the latest cycle is an earlier request's, afterwards it is this one's.
        answered = self.pipeline or (not idle if self._in_head else self.cycle.response_started)
        if not idle:
            self.cycle.disconnected = True  # the application reads and writes no more on this connection
            self.cycle.message_event.set()
        if answered:
            self.transport.close()
            return
        self.transport.write(raw_problem(status, detail))
        # Closing at once, with bytes unread, would reset the connection and lose the answer.
        if self.transport.can_write_eof():  # not with TLS
            self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)
