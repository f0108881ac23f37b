"""Where notifications go in tests: an HTTP server and a mail server on loopback that keep what they are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Got:
    """One request."""

    path: str
    headers: dict[str, str]  # by lower-case name
    body: bytes


@dataclass
class HttpSink:
    """Answers with the statuses of `answers`, one after the other, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)

    def at(self, path: str) -> list[Got]:
        """What came there."""
        return [one for one in self.got if one.path == path]


@contextmanager
def http_sink() -> Iterator[HttpSink]:
    """One that listens, in a thread of its own."""
    sink = HttpSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            sink.got.append(Got(self.path, headers, self.rfile.read(length)))
            self.send_response(sink.answers.pop(0) if sink.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailSink:
    """A mail server that takes everything, once `refusals` are used up."""

    url: str = ""
    refusals: int = 0
    got: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation (RFC 5321)."""
        writer.write(b"220 sink\r\n")
        try:
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    self._take(data[:-3])
                elif verb == b"RCPT":
                    self.recipients.append(line.decode().partition("<")[2].partition(">")[0])
                if verb == b"MAIL" and self.refusals:
                    self.refusals -= 1
                    writer.write(b"451 not now\r\n")
                else:
                    writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                await writer.drain()
                if verb == b"QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _take(self, data: bytes) -> None:
        found = message_from_bytes(data, policy=policy.default)
        assert isinstance(found, EmailMessage)
        self.got.append(found)


@asynccontextmanager
async def mail_sink() -> AsyncIterator[MailSink]:
    """One that listens."""
    sink = MailSink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
    sink.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield sink
