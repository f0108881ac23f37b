"""The HTTP server as clients meet it: bad ones are turned away in time, and a stop loses nobody's answer."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

APP = Path(__file__).with_name("served_app.py")
PATIENCE = 30.0  # seconds; reached only when something is broken


class Served:
    """A server process and the port that it told."""

    def __init__(self, **options: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(APP), json.dumps(options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline() or 0)

    def connect(self) -> socket.socket:
        """A connection that gives up after PATIENCE."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, *parts: bytes) -> Answer:
        """Send the parts and read until the server closes."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
            return Answer(everything(connection))

    def stop(self, *signals: signal.Signals) -> list[str]:
        """Send signals; the words that the process said until its end."""
        for number in signals:
            self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=PATIENCE)
        return said.split()


class Answer:
    """One HTTP response, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1]) if head else 0
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    def problem(self) -> dict[str, Any]:
        """The problem document that it must be."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["connection"] == "close"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        assert document["title"]
        return document


def everything(connection: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    received = bytearray()
    while piece := connection.recv(65_536):
        received += piece
    return bytes(received)


def until(connection: socket.socket, word: bytes) -> bytes:
    """All bytes until `word` is among them."""
    received = bytearray()
    while word not in received:
        piece = connection.recv(65_536)
        assert piece, f"closed before {word!r}: {bytes(received)!r}"
        received += piece
    return bytes(received)


@contextmanager
def serving(**options: float) -> Iterator[Served]:
    """A server that is gone afterwards."""
    served = Served(**options)
    try:
        yield served
    finally:
        served.process.kill()
        served.process.communicate()


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    """A server with short deadlines, for clients that dawdle."""
    with serving(head_seconds=0.3, body_seconds=0.3, keep_alive_seconds=1) as served:
        yield served


@pytest.fixture(scope="module")
def usual() -> Iterator[Served]:
    """A server with the usual deadlines."""
    with serving() as served:
        yield served


def post(path: str, *headers: str) -> bytes:
    """The head of a POST."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()


GET = b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_an_ordinary_request(usual: Served) -> None:
    """A well-behaved client gets its answer."""
    answer = usual.ask(GET)
    assert (answer.status, answer.body) == (200, b"ok")
    assert "server" not in answer.headers


def test_keep_alive_serves_many_requests(strict: Served) -> None:
    """A kept connection serves request after request, and is closed when it idles."""
    with strict.connect() as connection:
        for _ in range(3):
            connection.sendall(GET.replace(b"Connection: close\r\n", b""))
            assert until(connection, b"ok").startswith(b"HTTP/1.1 200")
        assert everything(connection) == b""


@pytest.mark.parametrize("begun", [b"", b"GET /ok HT", b"GET /ok HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
def test_a_head_that_does_not_end(strict: Served, begun: bytes) -> None:
    """Whoever does not finish the head of a request, or does not begin it, is told so and closed."""
    answer = strict.ask(begun)
    assert answer.status == 408
    assert answer.problem()["detail"] == "headers: must arrive within 0.3 seconds"


def test_a_second_head_that_does_not_end(strict: Served) -> None:
    """The same holds for a later request of a kept connection."""
    with strict.connect() as connection:
        connection.sendall(GET.replace(b"Connection: close\r\n", b""))
        until(connection, b"ok")
        connection.sendall(b"GET /o")
        assert Answer(everything(connection)).status == 408


@pytest.mark.parametrize("sent", [b"", b"hal"])
def test_a_body_that_does_not_end(strict: Served, sent: bytes) -> None:
    """Whoever announces a body and does not send it is told so and closed."""
    answer = strict.ask(post("/echo", "Content-Length: 6"), sent)
    assert answer.status == 408
    assert answer.problem()["detail"] == "body: must arrive within 0.3 seconds"


def test_alerts_that_do_not_end(strict: Served) -> None:
    """Who brings alerts and does not go on gets 503 with the time to come again: after a 4xx they would be lost."""
    answer = strict.ask(post("/api/v1/alerts", "Content-Length: 6"), b"hal")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.problem()["detail"].startswith("body: must arrive within 0.3 seconds, and a second more for each ")


@pytest.mark.parametrize(("path", "status"), [("/api/v1/alerts", 200), ("/echo", 408)])
def test_alerts_over_a_slow_link(path: str, status: int) -> None:
    """Alerts that go on coming may take their time; nothing else may."""
    with serving(body_seconds=0.1, body_rate=1) as served, served.connect() as connection:
        connection.sendall(post(path, "Content-Length: 40") + b"a" * 20)
        connection.settimeout(2.0)
        with suppress(TimeoutError):
            assert Answer(connection.recv(65_536)).status == 408 == status
            return
        connection.settimeout(PATIENCE)
        connection.sendall(b"a" * 20)
        answer = Answer(everything(connection))
        assert (answer.status, answer.body) == (status, b"40")


@pytest.mark.parametrize("path", ["/api/v1/alerts", "/echo"])
def test_what_came_while_we_stood_still(path: str) -> None:
    """A process that was frozen reads what came meanwhile before it says that it came too late."""
    with serving(body_seconds=1.0) as served, served.connect() as connection:
        connection.sendall(post(path, "Content-Length: 900000", "Expect: 100-continue"))
        until(connection, b"100 Continue\r\n\r\n")  # the body's clock runs
        connection.sendall(b"a" * 1000)
        served.process.send_signal(signal.SIGSTOP)
        connection.sendall(b"a" * 200_000)
        connection.settimeout(1.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(PATIENCE)
        served.process.send_signal(signal.SIGCONT)
        connection.sendall(b"a" * 699_000)
        answer = Answer(everything(connection))
        assert (answer.status, answer.body) == (200, b"900000")


def test_an_answer_before_the_body(strict: Served) -> None:
    """Who was answered already and still owes the body is closed without a second answer."""
    with strict.connect() as connection:
        connection.sendall(b"GET /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert everything(connection).count(b"HTTP/1.1 ") == 1


def test_a_slow_answer_is_not_cut(strict: Served) -> None:
    """The deadlines are the client's; a response may take as long as it likes, pipelined requests or not."""
    with strict.connect() as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        until(connection, b"begun")
        connection.sendall(b"GET /ok HTTP/1.1\r\nHo")
        connection.settimeout(1.0)
        with pytest.raises(TimeoutError):
            connection.recv(1)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ok HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 10_000 + b"\r\n",
        b"GET /ok?" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ok HTTP/1.1\r\nX-Endless: " + b"a" * 2_000_000,
    ],
)
def test_a_head_that_is_too_large(usual: Served, head: bytes) -> None:
    """More than 32 KB before the body are refused, even when the head never ends."""
    answer = usual.ask(head)
    assert answer.status == 431
    assert answer.problem()["detail"] == "request line and headers: must be at most 32768 bytes"


def test_a_head_below_the_cap(usual: Served) -> None:
    """30 KB of headers are fine, as are large bodies behind them."""
    answer = usual.ask(post("/echo", f"X-Large: {'a' * 30_000}", "Content-Length: 900000"), b"b" * 900_000)
    assert (answer.status, answer.body) == (200, b"900000")


def test_a_head_in_pieces_with_a_large_body(usual: Served) -> None:
    """What arrives together with the end of a head, or after it, does not count as head."""
    head = post("/echo", "Content-Length: 900000")
    answer = usual.ask(head[:20], head[20:] + b"b" * 900_000)
    assert (answer.status, answer.body) == (200, b"900000")


def chunked(size: int) -> bytes:
    """A chunked body of `size` bytes."""
    piece = b"8000\r\n" + b"c" * 0x8000 + b"\r\n"
    return piece * (size // 0x8000) + b"0\r\n\r\n"


MEGABYTE = 1024 * 1024


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/echo", MEGABYTE, 200),
        ("/echo", 2 * MEGABYTE, 413),
        ("/ok", 2 * MEGABYTE, 413),
        ("/large", 4 * MEGABYTE, 200),
        ("/tiny", 11, 413),
    ],
)
def test_body_cap_by_length(usual: Served, path: str, size: int, status: int) -> None:
    """A Content-Length over the path's cap is answered 413 with the rule, and the client gets to read it."""
    answer = usual.ask(post(path, f"Content-Length: {size}"), b"d" * size)
    assert answer.status == status
    if status == 413:
        cap = 10 if path == "/tiny" else MEGABYTE
        assert answer.problem()["detail"] == f"body: {size} bytes announced, must be at most {cap} bytes"
        assert answer.problem()["instance"] == path


@pytest.mark.parametrize(("size", "status"), [(MEGABYTE, 200), (2 * MEGABYTE, 413)])
def test_body_cap_when_chunked(usual: Served, size: int, status: int) -> None:
    """A body of unknown length is refused as soon as it grows over the cap."""
    answer = usual.ask(post("/echo", "Transfer-Encoding: chunked"), chunked(size))
    assert answer.status == status
    if status == 413:
        assert answer.problem()["detail"] == f"body: more than {MEGABYTE} bytes sent, must be at most {MEGABYTE} bytes"


def test_a_client_that_asks_first(usual: Served) -> None:
    """Who sends `Expect: 100-continue` with too large a body hears 413 before sending any of it."""
    answer = usual.ask(post("/echo", f"Content-Length: {2 * MEGABYTE}", "Expect: 100-continue"))
    assert answer.status == 413


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        post("/echo", "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_no_http(usual: Served, nonsense: bytes) -> None:
    """What is not HTTP, or could be read in two ways, is a 400 problem."""
    answer = usual.ask(nonsense)
    assert answer.status == 400
    assert answer.problem()["detail"] == "Invalid HTTP request received."


def test_more_than_it_takes() -> None:
    """Beyond the limit of connections a request is answered 503 as a problem, with the time to come again."""
    with serving(concurrency=2) as served, served.connect():
        answer = served.ask(GET)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.problem()["instance"] == "/ok"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_streams_first(number: signal.Signals) -> None:
    """On a signal streams are told, finish, the application is closed, `serve` returns and the exit code is 0."""
    with serving() as served, served.connect() as connection, served.connect() as idle:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        until(connection, b"begun")
        served.process.send_signal(number)
        until(connection, b"bye")
        assert everything(idle) == b""
        assert served.stop() == ["draining", "closed", "returned"]
        assert served.process.returncode == 0


@pytest.mark.parametrize(
    ("options", "signals"), [({"grace_seconds": 1}, 1), ({"grace_seconds": 600}, 2)], ids=["grace is over", "twice"]
)
def test_a_stop_does_not_wait_for_ever(options: dict[str, float], signals: int) -> None:
    """A request that never ends is cut when its grace is over or a person insists; the application is closed still."""
    with serving(**options) as served, served.connect() as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        until(connection, b"begun")
        served.process.send_signal(signal.SIGINT)
        assert served.process.stdout is not None
        assert served.process.stdout.readline() == "draining\n"
        assert served.stop(*[signal.SIGINT] * (signals - 1)) == ["closed", "returned"]
        assert served.process.returncode == 0


def test_a_taken_port_is_said_in_one_line(usual: Served) -> None:
    """A port that somebody else has is one line and a non-zero exit, no traceback."""
    with serving(port=usual.port) as second:
        _, complaint = second.process.communicate(timeout=PATIENCE)
        assert second.process.returncode == 1
        assert complaint.startswith(f"cannot listen on 127.0.0.1 port {usual.port}: ")
        assert complaint.count("\n") == 1


def test_an_application_that_does_not_start() -> None:
    """When the application does not come up the process ends with an error, not with success."""
    with serving(starts=0) as served:
        _, complaint = served.process.communicate(timeout=PATIENCE)
        assert served.process.returncode == 1
        assert complaint.endswith("the application did not start; the log tells why\n")
