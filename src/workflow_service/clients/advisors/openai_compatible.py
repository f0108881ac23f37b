"""Any server with OpenAI's chat completions: llama.cpp, RamaLama, vLLM, Ollama, LM Studio, hosted models.

Source of the format: OpenAI's API reference, Chat Completions; what servers make of `response_format` was measured on
llama.cpp's server and llama-cpp-python's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

import structlog

from workflow_service.clients.advisors.asking import Asked, Said, no_answer
from workflow_service.clients.advisors.line import Heard, Line
from workflow_service.clients.advisors.structured import Forms, refuses_form, response_format
from workflow_service.domain.answer_schema import answer_schema
from workflow_service.domain.answer_text import Reason
from workflow_service.domain.errors import AdvisorAway
from workflow_service.domain.prompting import ANSWER_AGAIN, corrections, prompt
from workflow_service.domain.redaction import cleaned

TEMPERATURE = 0.0  # the same question gets the same answer
MOST_TOKENS = 2048  # of an answer; servers that constrain it to a schema need room for every bracket
# What a server may not know; named in its refusal as such, it is left out from then on.
_OPTIONAL = ("temperature", "seed", "reasoning_effort", "max_tokens")
_NOT_KNOWN = re.compile(rb"not support|nsupported|nknown|nrecogni[sz]ed|xtra |nexpected|not permitted|not allowed")

log = structlog.get_logger(__name__)


class OpenAiCompatible:
    """`Provider` over `/v1/chat/completions`."""

    name = "openai"

    def __init__(self, line: Line, *, model: str, forms: Forms) -> None:
        self._line, self.model, self._forms = line, model, forms
        self._root = "" if line.base.endswith("/v1") else "/v1"
        self._left_out: set[str] = set()
        self._warned = False

    @property
    def mode(self) -> str:
        """The form that would be asked for now."""
        return self._forms.mode

    async def recognised(self) -> bool:
        """It lists its models, or would if it knew us."""
        heard = await self._line.get(f"{self._root}/models")
        if heard.status in {401, 403}:
            return True
        listed = heard.mapping().get("data")
        if heard.status != 200 or not isinstance(listed, list):
            return False
        self._choose([str(one["id"]) for one in listed if isinstance(one, Mapping) and one.get("id")])
        return True

    async def ask(self, asked: Asked) -> Said:
        """Ask once, in the strictest form that the server takes."""
        schema = answer_schema(asked.task, asked.question)
        messages = _messages(asked, schema)
        heard: Heard | None = None
        for mode in self._forms.to_try():
            heard = await self._post({"messages": messages, **response_format(mode, schema)}, asked.number)
            if heard.status == 200:
                self._forms.taken(mode)
                return _said(heard, mode)
            if not refuses_form(heard):
                break
        raise heard.away() if heard else AdvisorAway("bad_request", "no form of answer is left to ask for")

    async def _post(self, body: dict[str, Any], number: int) -> Heard:
        path = f"{self._root}/chat/completions"
        heard = await self._line.post(path, {"model": self.model, **body, **self._options(number)})
        if heard.status in {400, 422} and (named := self._named_in(heard)):
            self._left_out |= named
            heard = await self._line.post(path, {"model": self.model, **body, **self._options(number)})
        return heard

    def _named_in(self, heard: Heard) -> set[str]:
        """The optional fields that a refusal names, other than for what they say."""
        if not _NOT_KNOWN.search(heard.body):
            return set()
        return {name for name in _OPTIONAL if name.encode() in heard.body} - self._left_out

    def _options(self, number: int) -> dict[str, Any]:
        """What may be sent along, without what the server is known not to take."""
        options: dict[str, Any] = {
            "temperature": TEMPERATURE,
            "seed": number,
            "max_tokens": MOST_TOKENS,
            "stream": False,
        }
        if "gpt-oss" in self.model:
            options["reasoning_effort"] = "low"  # long thoughts would use up the tokens of the answer
        if "max_tokens" in self._left_out:
            options["max_completion_tokens"] = 4 * MOST_TOKENS  # what replaces it counts thoughts too
        return {name: value for name, value in options.items() if name not in self._left_out}

    def _choose(self, listed: list[str]) -> None:
        """A server that has one model means it, whatever it is called; `AI_MODEL` often names a source of weights."""
        if self.model in listed or not listed:
            return
        if len(listed) == 1:
            log.info("advisor serves one model, which is asked", named=self.model, model=listed[0])
            self.model = listed[0]
        elif not self._warned:
            self._warned = True
            log.warning("AI_MODEL is none of the advisor's models", model=self.model, models=listed[:20])


def _messages(asked: Asked, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    """The question, and after it only the last answer and why it was refused: never a growing conversation."""
    words = prompt(asked.task, asked.question, marker=secrets.token_hex(16), schema=schema)
    messages = [{"role": "system", "content": words.system}, {"role": "user", "content": words.user}]
    if asked.refusal is not None:
        again = asked.refusal.answer[:ANSWER_AGAIN] or "(nothing)"
        messages += [
            {"role": "assistant", "content": again},
            {"role": "user", "content": corrections(asked.refusal.flaws)},
        ]
    return messages


def _said(heard: Heard, mode: str) -> Said:
    found = heard.mapping()
    choices = found.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, Mapping) else None
    if not isinstance(first, Mapping) or not isinstance(message, Mapping):
        return Said(mode, flaw=no_answer("must be a chat completion with a choice"))
    usage = found.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    finish, text = first.get("finish_reason"), _text(message.get("content"))
    flaw = None
    if finish == "length":
        flaw = no_answer("was cut off; be brief", Reason.TRUNCATED)
    elif message.get("refusal") or finish == "content_filter":
        flaw = no_answer("was refused by the model or a filter", Reason.REFUSED)
    elif not text.strip():
        flaw = no_answer("must not be empty")
    return Said(
        mode,
        text,
        flaw=flaw,
        tokens=whole(usage.get("total_tokens")),
        cost=amount(usage.get("cost")),
        model=cleaned(str(found.get("model") or ""), 200),
    )


def _text(content: object) -> str:
    """Some servers answer in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def whole(value: object) -> int | None:
    """A number of tokens; None: not told."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def amount(value: object) -> float | None:
    """A cost; None: not told."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6 else None
