"""An HTTP relay before an API server: a test can act just before a request arrives, and sees what passed."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from tests.support.kube import Server

_PASSED_ON = ("Content-Type", "Accept", "User-Agent")
_HANDED_BACK = ("content-type", "retry-after")


@dataclass(frozen=True, slots=True)
class Passed:
    """One request that went through, and how the server answered."""

    method: str
    path: str
    code: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Ambush:
    """What a test does just before a matching request is passed on; dry runs are left alone."""

    method: str
    path: re.Pattern[str]
    act: Callable[[], object]


class Interposer:
    """Serves on a loopback port while entered; `server` is what clients are to be pointed at."""

    def __init__(self, upstream: Server) -> None:
        self._upstream = upstream.client()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._ambushes: list[Ambush] = []
        self.passed: list[Passed] = []
        self.server = Server(f"http://127.0.0.1:{self._http.server_port}")

    def __enter__(self) -> "Interposer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._upstream.close()

    def before(self, method: str, path: str, act: Callable[[], object], *, times: int = 1) -> None:
        """Act before the next requests whose path ends so."""
        self._ambushes += [Ambush(method, re.compile(f"{re.escape(path)}$"), act)] * times

    def forget(self) -> None:
        """No more ambushes, an empty memory."""
        self._ambushes.clear()
        self.passed.clear()

    def codes(self, method: str, path: str, *, dry_run: bool = False) -> list[int]:
        """The answers to real (or to dry) requests of a method whose path ends so."""
        found = [one for one in self.passed if one.method == method and one.path.endswith(path)]
        return [one.code for one in found if one.dry_run is dry_run]

    def relay(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Pass one request on and its answer back."""
        path, _, query = handler.path.partition("?")
        dry_run = "dryRun=" in query
        if not dry_run:
            self._spring(handler.command, path)
        headers = {name: handler.headers[name] for name in _PASSED_ON if handler.headers[name]}
        answer = self._upstream.request(handler.command, handler.path, content=body, headers=headers)
        self.passed.append(Passed(handler.command, path, answer.status_code, dry_run))
        handler.send_response(answer.status_code)
        for name in _HANDED_BACK:
            if name in answer.headers:
                handler.send_header(name, answer.headers[name])
        handler.send_header("Content-Length", str(len(answer.content)))
        handler.end_headers()
        handler.wfile.write(answer.content)

    def _spring(self, method: str, path: str) -> None:
        waiting = (one for one in self._ambushes if one.method == method and one.path.search(path))
        ambush = next(waiting, None)
        if ambush is not None:
            self._ambushes.remove(ambush)
            ambush.act()


def _handler(interposer: Interposer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Say nothing; what passed is in `passed`."""

        def pass_on(self) -> None:
            interposer.relay(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        do_GET = do_POST = do_PATCH = do_DELETE = pass_on  # noqa: N815 - names of http.server

    return Handler
