"""HolmesGPT: it looks around with tools of its own, and answers as text that holds our JSON.

Source of the format: its `docs/reference/http-api.md` and `server.py`. `stream` is asked for, because without it a
server is silent for minutes while its tools run. What it knows by name is a key of its own list of models. It validates
nothing of an answer, so that is done here. All headers but the credentials are handed on to its tools: none of ours
says anything.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from workflow_service.clients.advisors.asking import Asked, Said, no_answer
from workflow_service.clients.advisors.event_stream import events
from workflow_service.clients.advisors.line import Heard, Line
from workflow_service.clients.advisors.openai_compatible import amount, whole
from workflow_service.clients.advisors.structured import Forms, refuses_form, response_format
from workflow_service.domain.answer_schema import answer_schema
from workflow_service.domain.answer_text import Reason
from workflow_service.domain.errors import AdvisorAway
from workflow_service.domain.prompting import ANSWER_AGAIN, corrections, fenced, prompt

_RATE_LIMITED = 5204  # its code for that within a stream
_CHAT = "/api/chat"


class HolmesGpt:
    """`Provider` over `/api/chat`."""

    name = "holmesgpt"

    def __init__(self, line: Line, *, model: str, forms: Forms) -> None:
        self._line, self.model, self._forms = line, model, forms
        self._known: frozenset[str] = frozenset()

    @property
    def mode(self) -> str:
        """The form that would be asked for now."""
        return self._forms.mode

    async def recognised(self) -> bool:
        """`/readyz` lists its models, or says that it is not ready; older ones have `/api/model`."""
        heard = await self._line.get("/readyz")
        found = heard.mapping()
        if heard.status == 200 and isinstance(found.get("models"), list):
            self._known = frozenset(map(str, found["models"]))
            return True
        if heard.status == 503 and found.get("detail") == "Service not ready":
            return True
        heard = await self._line.get("/api/model")
        listed = heard.mapping().get("model_name") if heard.status == 200 else None
        if listed is None:
            return False
        self._known = _names(listed)
        return True

    async def ask(self, asked: Asked) -> Said:
        """Ask once, in the strictest form that it takes."""
        schema = answer_schema(asked.task, asked.question)
        heard: Heard | None = None
        for mode in self._forms.to_try():
            body = {**_body(asked, schema), **self._named(), **response_format(mode, schema)}
            said = await self._chat(body, mode)
            if isinstance(said, Said):
                self._forms.taken(mode)
                return said
            heard = said
            if not refuses_form(heard):
                break
        raise heard.away() if heard else AdvisorAway("bad_request", "no form of answer is left to ask for")

    def _named(self) -> dict[str, str]:
        return {"model": self.model} if self.model in self._known else {}

    async def _chat(self, body: Mapping[str, Any], mode: str) -> Said | Heard:
        """What it said, or the refusal that came instead."""
        async with self._line.streamed(_CHAT, body) as answer:
            if isinstance(answer, aiohttp.ClientResponse):
                return await _followed(answer, mode)
            if answer.status != 200:
                return answer
            found = answer.mapping()
            return _said(found, mode, seen=_any_succeeded(found.get("tool_calls")))


def _body(asked: Asked, schema: Mapping[str, Any]) -> dict[str, Any]:
    marker = secrets.token_hex(16)
    words = prompt(asked.task, asked.question, marker=marker, schema=schema)
    ask = words.user
    if asked.refusal is not None:
        again = fenced(asked.refusal.answer[:ANSWER_AGAIN], marker)
        ask = f"{ask}\n\nYou have answered this before:\n{again}\n{corrections(asked.refusal.flaws)}"
    return {
        "ask": ask,
        "additional_system_prompt": words.system,
        "stream": True,
        "enable_tool_approval": False,
        "request_source": "workflow-service",
        "behavior_controls": {"todowrite_instructions": False},
    }


async def _followed(answer: aiohttp.ClientResponse, mode: str) -> Said | Heard:
    """The last event of a stream, and whether a tool has found something before it."""
    seen = False
    async for name, data in events(answer):
        if name == "tool_calling_result":
            seen = seen or _succeeded(_mapping(data))
        elif name == "error":
            found = _mapping(data)
            status = 429 if found.get("error_code") == _RATE_LIMITED else 500
            said = {"detail": found.get("description") or found.get("msg") or ""}
            return Heard(status, orjson.dumps(said, default=str))
        elif name == "approval_required":
            return Said(mode, flaw=no_answer("must come without tools that ask for approval", Reason.REFUSED))
        elif name == "ai_answer_end":
            return _said(_mapping(data), mode, seen=seen)
    raise AdvisorAway("cut", "the stream has ended before its answer", passing=True, silent=True)


def _said(found: Mapping[str, Any], mode: str, *, seen: bool) -> Said:
    metadata = found.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    usage = metadata.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    text = found.get("analysis")
    flaw = None if isinstance(text, str) and text.strip() else no_answer("must have an analysis that is a text")
    if found.get("requires_approval"):
        flaw = no_answer("must come without tools that ask for approval", Reason.REFUSED)
    elif usage.get("finish_reason") == "length" or metadata.get("finish_reason") == "length":
        flaw = no_answer("was cut off; be brief", Reason.TRUNCATED)
    return Said(
        mode,
        text if isinstance(text, str) else "",
        flaw=flaw,
        seen=seen,
        tokens=whole(usage.get("total_tokens")),
        cost=amount(metadata.get("total_cost")),
    )


def _any_succeeded(calls: object) -> bool:
    return isinstance(calls, list) and any(_succeeded(one) for one in calls if isinstance(one, Mapping))


def _succeeded(call: Mapping[str, Any]) -> bool:
    """A tool that failed or was refused has seen nothing."""
    result = call.get("result")
    return isinstance(result, Mapping) and result.get("status") == "success"


def _mapping(data: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _names(listed: object) -> frozenset[str]:
    """The models: a JSON list inside of a JSON text, though its documentation shows a list."""
    if isinstance(listed, str):
        try:
            listed = json.loads(listed)
        except ValueError:
            listed = [listed]
    return frozenset(map(str, listed)) if isinstance(listed, list) else frozenset()
