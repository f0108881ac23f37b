"""Clients that open a connection and never finish their request (slow loris) keep nobody else waiting."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.support.processes import Program, free_port
from workflow_service.api.connection import Limits

pytestmark = [pytest.mark.durability, pytest.mark.timeout(120)]

HALF_OPEN = 500
HEADS = (b"", b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"POST /api/v1/alerts HTTP/1.1\r\n")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Program]:
    """workflow-service alone, as it is started."""
    port = free_port()
    settings = {"DATA_DIR": str(tmp_path / "data"), "WORKFLOW_SERVICE_PORT": str(port)}
    program = Program("workflow_service", port=port, log=tmp_path / "service.log", environment=settings)
    program.start("/readyz")
    yield program
    program.kill()


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many sockets as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, HALF_OPEN * 2 + 200)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_five_hundred_half_open_connections(service: Program) -> None:
    """Probes and the API are answered all the time; each of the 500 is closed by the deadline for headers."""
    with ExitStack() as stack, httpx2.Client(base_url=service.url, timeout=20) as http:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(HALF_OPEN)]
        for number, one in enumerate(slow):
            one.sendall(HEADS[number % len(HEADS)])
        until, answered = time.monotonic() + Limits().head_seconds * 4, 0
        for one in slow:
            one.setblocking(False)
        waiting = dict.fromkeys(slow, b"")
        while waiting:
            assert time.monotonic() < until, f"{len(waiting)} are still open"
            for path in ("/livez", "/health", "/api/v1/workflows"):
                assert http.get(path, headers={"Connection": "close"}).status_code == 200
                answered += 1
            waiting = {
                one: told
                for one, told in ((one, _more(one, told)) for one, told in waiting.items())
                if told is not None
            }
        assert answered >= 3
        assert http.get("/livez").status_code == 200


def _more(one: socket.socket, told: bytes) -> bytes | None:
    """What it was told so far; None once it is closed, and then it was told why."""
    try:
        part = one.recv(4096)
    except BlockingIOError:
        return told
    if part:
        return told + part
    assert told.startswith(b"HTTP/1.1 408 "), told[:200]
    return None
