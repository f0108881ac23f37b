"""An advisor's server that follows a script: every behaviour that real ones were seen or read to have, over real HTTP.

One stub speaks one language. Each request for an answer takes the next behaviour of the script; the last one stays.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.questions import answer, pick, text

OPENAI, HOLMES, HOLMES_PLAIN, HOLMES_OLD, KUBERNAUT = "openai", "holmesgpt", "holmes_plain", "holmes_old", "kubernaut"
_SSE = "text/event-stream"


def _cut_off(written: str) -> str:
    return written[: len(written) // 2]


# What a model writes, by behaviour; without an entry it writes a sound answer.
WRITINGS: dict[str, Callable[[], str]] = {
    "fenced": lambda: f"```json\n{text()}\n```",
    "prose and fence": lambda: f"Here is my advice:\n```json\n{text()}\n```\nGood luck!",
    "double encoded": lambda: json.dumps(text()),
    "prose": lambda: "I think that you should restart it.",
    "wrong schema": lambda: json.dumps({"steps": [{"action": "drain_node"}]}),
    "wrong candidate": lambda: text(pick("drain_node")),
    "wrong value": lambda: text(pick("scale-out", parameters={"replicas": 1000})),
    "own target": lambda: text(pick(parameters={"namespace": "kube-system"})),
    "unsure": lambda: text(confidence_percent=69),
    "just sure": lambda: text(confidence_percent=70),
    "out of range": lambda: text(confidence_percent=820),
    "none fits": lambda: text(picks=[]),
    "truncated": lambda: _cut_off(text()),
    "no text": lambda: "  ",
}


class StubAi:
    """The server. `asked` holds every request for an answer: path, headers and body."""

    def __init__(self, language: str, *script: str) -> None:
        self.language, self.script = language, list(script) or ["ok"]
        self.asked: list[dict[str, Any]] = []
        self.looked: list[str] = []
        self.refuses: set[str] = set()  # forms of response_format that are answered with an error
        self.refuses_with = 400
        self.models = ["fast", "accurate"]
        self.tools = True  # HolmesGPT's tools find something
        self.away = False  # answers nothing but 503
        self.url = ""
        self.elsewhere = 0  # requests to where it redirects
        self.padding = 0  # characters that HolmesGPT's tools find
        self.specials: dict[str, Any] = {}  # behaviours of a test's own: bodies of a 400

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[StubAi]:
        """It answers as long as the block lasts, over TLS if there is a context."""
        app = web.Application()
        app.router.add_route("*", "/elsewhere", self._elsewhere)
        app.router.add_get("/{path:.*}", self._look)
        app.router.add_post("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _elsewhere(self, _request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.json_response({})

    async def _look(self, request: web.Request) -> web.Response:
        self.looked.append(request.path)
        if self.away:
            return web.json_response({"detail": "Service not ready"}, status=503)
        listed: dict[tuple[str, str], Any] = {
            (OPENAI, "/v1/models"): {"object": "list", "data": [{"id": name} for name in self.models]},
            (HOLMES, "/readyz"): {"status": "ready", "models": self.models},
            (HOLMES_PLAIN, "/readyz"): {"status": "ready", "models": self.models},
            (HOLMES_OLD, "/api/model"): {"model_name": json.dumps(self.models)},
            (KUBERNAUT, "/api/v1/service-info"): {"service": "ai-service", "version": "1.0"},
        }
        found = listed.get((self.language, request.path))
        return web.json_response(found) if found else web.json_response({"detail": "Not Found"}, status=404)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        history = body.get("conversation_history")
        if history and history[0].get("role") != "system":
            return web.json_response({"detail": "the first message must be of role system"}, status=422)
        form = (body.get("response_format") or {}).get("type", "prompt")
        form = "json_object_schema" if "schema" in (body.get("response_format") or {}) else form
        if form in self.refuses:
            said = {"error": {"message": f"response_format.type: {form} is not supported"}}
            return web.json_response(said, status=self.refuses_with)
        self.asked.append({"path": request.path, "headers": dict(request.headers), "body": body, "form": form})
        behaviour = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if behaviour in self.specials:
            return web.json_response(self.specials[behaviour], status=400)
        if special := self._specials().get(behaviour):
            return await special(request)
        return await self._said(request, behaviour, body)

    def _specials(self) -> dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        return {
            "500": _status(500, {"detail": "it broke"}),
            "503": _status(503, {"error": {"message": "loading model"}}),
            "429": _status(429, {"detail": "slow down"}, {"Retry-After": "0"}),
            "429 for an hour": _status(429, {"detail": "slow down"}, {"Retry-After": "3600"}),
            "401": _status(401, {"detail": "bad key: sk-hunter2hunter2hunter2"}),
            "400": _status(400, {"error": "this cannot be done"}),
            "too long": _status(400, {"error": {"message": "request exceeds the available context size"}}),
            "redirect": _status(307, {}, {"Location": f"{self.url}/elsewhere"}),
            "html": _html,
            "huge": _huge,
            "cut": _cut,
            "slow": _slow,
            "drip": _drip,
            "compressed": _compressed,
            "no json": _no_json,
        }

    async def _said(self, request: web.Request, behaviour: str, body: dict[str, Any]) -> web.StreamResponse:
        written = WRITINGS.get(behaviour, text)()
        if self.language == KUBERNAUT:
            return web.json_response(kubernaut(request.path, behaviour))
        if self.language == OPENAI:
            return web.json_response(completion(written, behaviour, body))
        found = holmes(written, behaviour)
        if self.language == HOLMES_PLAIN or not body.get("stream"):
            calls = [{"tool_call_id": "1", "tool_name": "kubectl_logs", "result": {"status": "success"}}]
            return web.json_response({**found, "tool_calls": calls if self.tools else []})
        return await self._streamed(request, found, behaviour)

    async def _streamed(self, request: web.Request, found: dict[str, Any], behaviour: str) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": _SSE})
        await stream.prepare(request)
        status = "success" if self.tools else "error"
        events: list[tuple[str, Any]] = [
            ("start_tool_calling", {"tool_name": "kubectl_logs", "id": "1"}),
            ("tool_calling_result", {"name": "kubectl_logs", "result": {"status": status, "data": "x" * self.padding}}),
            ("token_count", {"metadata": {}}),
            ("ai_message", {"content": "thinking"}),
        ]
        last: dict[str, list[tuple[str, Any]]] = {
            "stream error": [
                ("error", {"description": "it broke", "error_code": 1, "msg": "it broke", "success": False})
            ],
            "stream rate limit": [("error", {"description": "slow down", "error_code": 5204, "success": False})],
            "stream ends": [],
            "approval": [("approval_required", {**found, "requires_approval": True, "pending_approvals": [{}]})],
        }
        for name, data in [*events, *last.get(behaviour, [("ai_answer_end", found)])]:
            await stream.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        return stream


def completion(written: str, behaviour: str, body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion of OpenAI's."""
    message: dict[str, Any] = {"role": "assistant", "content": written, "refusal": None}
    if behaviour == "refusal":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that"}
    if behaviour == "in parts":
        message["content"] = [{"type": "text", "text": written[:9]}, {"type": "text", "text": written[9:]}]
    finish = {"truncated": "length", "filtered": "content_filter"}.get(behaviour, "stop")
    choices = [] if behaviour == "empty" else [{"index": 0, "message": message, "finish_reason": finish}]
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "cost": 0.002}
    return {"id": "c1", "object": "chat.completion", "model": body.get("model"), "choices": choices, "usage": usage}


def holmes(written: str, behaviour: str) -> dict[str, Any]:
    """An answer of HolmesGPT."""
    usage: dict[str, Any] = {"total_tokens": 150}
    if behaviour == "truncated":
        usage["finish_reason"] = "length"
    return {
        "analysis": None if behaviour == "empty" else written,
        "conversation_history": [{"role": "system", "content": "you are"}],
        "follow_up_actions": [],
        "metadata": {"usage": usage, "tokens": {}, "max_tokens": 128_000, "total_cost": 0.002},
    }


def kubernaut(path: str, behaviour: str) -> dict[str, Any]:
    """An answer of Kubernaut's AI service."""
    confidence = {"unsure": 0.69, "just sure": 0.7, "out of range": 8.2}.get(behaviour, 0.82)
    parameters: dict[str, Any] = {"namespace": "production", "resource": "web-1", "min_restarts": 3}
    action = "rollback_deployment"
    if behaviour == "wrong candidate":
        action = "drain_node"
    elif behaviour == "wrong value":
        parameters["min_restarts"] = 1000
    elif behaviour == "own target":
        parameters["namespace"] = "kube-system"
    if path.endswith("/investigate"):
        found = {"root_causes": [{"description": answer()["root_cause"]}], "findings": ["x"], "summary": "it crashes"}
        return {"investigation": {"id": "i1", "confidence": confidence, **found}, "request_id": "r1"}
    if path.endswith("/recommendations"):
        return recommendations(action, parameters, confidence)
    if behaviour in {"empty", "wrong schema"}:
        return {} if behaviour == "empty" else {"steps": [{"action": "drain_node"}]}
    reasoning = {"primary_reason": answer()["root_cause"], "summary": answer()["summary"]}
    return {
        "action": action,
        "confidence": confidence,
        "parameters": parameters,
        "reasoning": reasoning,
        "metadata": {},
    }


def recommendations(action: str, parameters: dict[str, Any], confidence: float) -> dict[str, Any]:
    """The action of the analysis, one that may be suggested, and one that may not."""
    look = {"type": "collect_diagnostics", "parameters": {"namespace": "production", "time_range": "1h"}}
    drain = {"type": "drain-node", "parameters": {"node_name": "n1", "force": True}}
    evidence = [{"type": "metric", "description": "12 restarts"}]
    first = {"confidence": confidence, "priority": "high", "evidence": evidence, "explanation": "to be sure"}
    listed = [
        {"id": "1", **first, "actions": [{"type": action, "parameters": parameters}]},
        {"id": "2", "confidence": 0.6, "explanation": "to be sure", "actions": [look, drain]},
    ]
    return {"recommendations": listed, "request_id": "r1", "total_count": 2}


def _status(
    status: int, body: Any, headers: dict[str, str] | None = None
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def respond(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return respond


async def _html(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>please log in</html>", content_type="text/html")


async def _no_json(_request: web.Request) -> web.StreamResponse:
    return web.Response(text='{"choices": [', content_type="application/json")


async def _huge(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"x": "' + b"x" * 2_000_000 + b'"}', content_type="application/json")


async def _compressed(_request: web.Request) -> web.StreamResponse:
    packed = gzip.compress(b" " * 50_000_000)
    return web.Response(body=packed, headers={"Content-Encoding": "gzip"}, content_type="application/json")


async def _cut(request: web.Request) -> web.StreamResponse:
    """The connection breaks in the middle of the body."""
    stream = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await stream.prepare(request)
    await stream.write(b'{"choices": [')
    assert request.transport is not None
    request.transport.abort()
    return stream


async def _slow(_request: web.Request) -> web.StreamResponse:
    """Silence, until whoever asked goes away."""
    await asyncio.Event().wait()
    raise AssertionError


async def _drip(request: web.Request) -> web.StreamResponse:
    """A byte now and then, for ever: no idle time-out ever fires."""
    stream = web.StreamResponse(headers={"Content-Type": "application/json"})
    await stream.prepare(request)
    while True:
        await stream.write(b" ")
        await asyncio.sleep(0.02)
