"""The commands for people, where not all is as it should be: another server, a bad key file, an odd name."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration.test_cli import run

SECRET = "wfs_000000000000_secret"


class Stranger(ThreadingHTTPServer):
    """A server that gives its answers in turn, the last one again and again, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, object, str | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.asked = list(answers), list[dict[str, str]]()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        """Answer whatever is asked."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(dict(self.headers))
        status, body, location = self.server.answers[0]
        if len(self.server.answers) > 1:
            self.server.answers.pop(0)
        told = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_POST = do_GET  # noqa: N815 - the name that the base class asks for

    def log_message(self, *_about: object) -> None:
        """Nobody reads it."""


@contextmanager
def stranger(*answers: tuple[int, object, str | None]) -> Iterator[Stranger]:
    """One that answers until the block ends."""
    with Stranger(*answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_key_goes_nowhere_else(tmp_path: Path, status: int) -> None:
    """Who sends us elsewhere is not followed: exit 3, and where it is."""
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    with stranger((200, {"workflows": []}, None)) as other, stranger((status, "", f"{other.url}/x")) as first:
        done = run("workflows", "list", "--url", first.url, "--token-file", str(file))
        assert done.returncode == 3
        assert f"{other.url}/x" in done.stderr
        assert other.asked == []
        assert first.asked[0]["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("content", [f"{SECRET}\n{SECRET}\n".encode(), f"{SECRET} {SECRET}".encode(), b"\xff\xfe", b""])
def test_a_key_file_that_holds_no_key(tmp_path: Path, content: bytes) -> None:
    """Exit 2, the file is named, and nothing of what is in it."""
    file = tmp_path / "key"
    file.write_bytes(content)
    done = run("workflows", "list", "--token-file", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("answer", [{"hello": "world"}, [], 3, "hello", {"workflows": [{"workflow_id": "one"}]}])
def test_somebody_else_answers(answer: object) -> None:
    """Exit 3 and one line, whatever is answered instead."""
    with stranger((200, answer, None)) as other:
        done = run("workflows", "list", "--url", other.url)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


def test_a_name_of_any_letters() -> None:
    """A user's name that no header can carry is told escaped, as everywhere else."""
    with stranger((200, {"workflows": []}, None)) as other:
        assert run("workflows", "list", "--url", other.url, USER="Łukasz").returncode == 0
        assert other.asked[0]["X-Service-Name"] == "\\u0141ukasz"
