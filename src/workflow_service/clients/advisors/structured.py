"""The forms in which servers can be asked to hold to a schema, the strictest first; what a server takes is remembered.

The schema stands in the prompt too, every time, and every answer is checked: a server that ignores a form, as some do,
loses nothing but accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from workflow_service.clients.advisors.line import Heard

SCHEMA, OBJECT_AND_SCHEMA, OBJECT, PROMPT = "json_schema", "json_object_schema", "json_object", "prompt"
ALL = (SCHEMA, OBJECT_AND_SCHEMA, OBJECT, PROMPT)
# What AI_STRUCTURED allows.
ALLOWED: Mapping[str, tuple[str, ...]] = {
    "auto": ALL,
    "json_schema": (SCHEMA,),
    "json_object": (OBJECT_AND_SCHEMA, OBJECT),
    "prompt": (PROMPT,),
}
# What servers say when it is the form that they do not take; some say it with a 500 (llama-cpp-python).
_WORDS = (b"response_format", b"json_schema", b"json_object", b"structured", b"grammar", b"schema", b"mime type")

log = structlog.get_logger(__name__)


class Forms:
    """The forms that one server may be asked for, from the strictest that it has not refused."""

    def __init__(self, modes: Sequence[str], *, provider: str, on_downgrade: Callable[[str, str], None]) -> None:
        """`on_downgrade` is told provider and form when a server turns out to take no stricter one."""
        self._modes, self._provider, self._on_downgrade = tuple(modes), provider, on_downgrade
        self._best = 0

    @property
    def mode(self) -> str:
        """The strictest form that may be taken."""
        return self._modes[self._best]

    def to_try(self) -> Sequence[str]:
        """That one and all looser ones, in order."""
        return self._modes[self._best :]

    def taken(self, mode: str) -> None:
        """The server has answered to this form: stricter ones are not tried again."""
        if self._modes.index(mode) > self._best:
            self._best = self._modes.index(mode)
            log.info("advisor takes a looser form of structured output only", provider=self._provider, mode=mode)
            self._on_downgrade(self._provider, mode)


def response_format(mode: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a request that asks for that form."""
    if mode == SCHEMA:
        named = {"name": "advice", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    if mode == OBJECT_AND_SCHEMA:
        return {"response_format": {"type": "json_object", "schema": schema}}
    return {"response_format": {"type": "json_object"}} if mode == OBJECT else {}


def refuses_form(heard: Heard) -> bool:
    """Whether an answer may mean that the form is not taken, so that a looser one is worth a try."""
    if heard.status in {400, 415, 422}:
        return b"context" not in heard.body  # too long for the model: in every form
    return heard.status >= 500 and any(word in heard.body for word in _WORDS)
