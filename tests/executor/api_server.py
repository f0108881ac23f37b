"""An API server that reviews tokens and passes everything else on to the sandbox, which knows no users."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{}}}}]
"""


class ApiServer:
    """Answers TokenReview from `users`: token -> (user name, audiences); `away` makes it fail."""

    def __init__(self, sandbox_url: str) -> None:
        self.users: dict[str, tuple[str, list[str]]] = {}
        self.reviews: list[dict[str, Any]] = []
        self.away = False
        server, sandbox = self, httpx2.Client(base_url=sandbox_url, timeout=10)
        self._sandbox = sandbox

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path.startswith(_REVIEWS):
                    code, answer = server.review(json.loads(body))
                    self._answer(code, json.dumps(answer).encode())
                    return
                kept = {name: self.headers[name] for name in ("Content-Type", "User-Agent") if self.headers[name]}
                passed = sandbox.request(self.command, self.path, content=body, headers=kept)
                self._answer(passed.status_code, passed.content)

            do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - named by the library

            def _answer(self, code: int, content: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def kubeconfig(self, path: Path) -> Path:
        """A kubeconfig for this server, written to the path."""
        path.write_text(_KUBECONFIG.format(url=f"http://127.0.0.1:{self._server.server_port}"))
        return path

    def review(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """One TokenReview."""
        self.reviews.append(body["spec"])
        if self.away:
            return 500, {"message": "away"}
        user, meant_for = self.users.get(body["spec"]["token"], ("", []))
        wanted = body["spec"].get("audiences") or meant_for
        shared = [audience for audience in wanted if audience in meant_for]
        valid = bool(user) and bool(shared)
        status = {"authenticated": valid} | ({"user": {"username": user}, "audiences": shared} if valid else {})
        return 201, body | {"status": status}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._sandbox.close()
