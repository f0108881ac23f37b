"""Whom executor-service talks to besides a cluster, for tests: Alertmanager, Prometheus, a receiver of webhooks."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Outside:
    """An Alertmanager, a Prometheus and a webhook receiver in one server that remembers what it was told."""

    def __init__(self) -> None:
        self.silences: dict[str, dict[str, Any]] = {}
        self.calls: list[tuple[str, str, str | None, Any]] = []
        self.headers: list[dict[str, str]] = []  # of all that was asked
        self.status = 200
        self.swallow = ""
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                outside.headers.append({name.lower(): text for name, text in self.headers.items()})
                status, answer = outside.answer(self.command, self.path, self.headers["Idempotency-Key"], body)
                if outside.swallow == self.command:
                    outside.swallow = ""
                    self.close_connection = True
                    return
                text = json.dumps(answer).encode()
                self.send_response(status)
                if status in {301, 302}:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 - the library's names

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, method: str, path: str, key: str | None, body: Any) -> tuple[int, Any]:
        """What each of the three would say."""
        if path.startswith("/api/v1/query"):
            return 200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "0.5"]}}
        if not path.startswith("/api/v2/silence"):
            self.calls.append((method, path, key, body))
            return self.status, {"got": True}
        if method == "GET":
            known = self.silences.get(path.rpartition("/")[2])
            return (200, [*self.silences.values()]) if path.endswith("s") else (200, known) if known else (404, "none")
        if method == "DELETE":
            self.silences[path.rpartition("/")[2]]["status"] = {"state": "expired"}
            return 200, {}
        number = f"silence-{len(self.silences) + 1}"
        self.silences[number] = body | {"id": number, "status": {"state": "active"}}
        return 200, {"silenceID": number}

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
