"""Serving the application: uvicorn with bounds on every connection and a stop that always ends well."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from workflow_service.api.connection import GuardedConnection, Limits
from workflow_service.domain.errors import WorkflowServiceError

_BACKLOG = 2048


class CannotServe(WorkflowServiceError):
    """The address is not to be had, or the application did not start."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `port` 0 takes a free one. `tls` None: without TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


def serve(
    app: ASGIApp,
    at: Address,
    *,
    on_drain: Callable[[], None],
    on_listening: Callable[[int], None] | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return.

    `on_listening` gets the port once requests are taken. `on_drain` is called on the event
    loop when the stop begins: readiness should turn to 503 and streams should end by themselves. Then no more
    connections are taken, requests in flight get `limits.grace_seconds` (a second SIGINT ends that at once), and the
    application's lifespan is always shut down. Raises CannotServe.
    """
    limits = limits or Limits()
    with _listen(at.host, at.port) as listener:
        server = _Server(
            _config(app, limits, at.tls), on_drain, lambda: on_listening and on_listening(listener.getsockname()[1])
        )
        try:
            server.run(sockets=[listener])
        except SystemExit:
            raise CannotServe("the application did not start; the log tells why") from None


class _Server(uvicorn.Server):
    """Tells when it begins to take requests and when it stops, and takes a signal for a request, not for a crash."""

    def __init__(
        self, config: uvicorn.Config, on_drain: Callable[[], None], on_listening: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._on_drain = on_drain
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_drain()
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()  # which uvicorn leaves out here

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        # As uvicorn's, but without noting the signal, which it would raise again in the end: the stop was asked for.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _config(app: ASGIApp, limits: Limits, tls: ssl.SSLContext | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=type("Connection", (GuardedConnection,), {"limits": limits}),
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.grace_seconds,
        limit_concurrency=limits.concurrency,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise CannotServe(f"cannot listen on {host} port {port}: {error}") from error
