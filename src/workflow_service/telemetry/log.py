"""Log lines: one JSON object each on stdout, our own and those of libraries alike, without secrets.

A line has `timestamp` (RFC 3339, UTC), `level`, `event`, `logger`, what the call says, and what the context holds:
workflow_id, action_id, step, total_steps, progress while an execution is driven.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, BinaryIO

import orjson
import structlog

# The names of logrus, which the specification's LOG_LEVEL takes, and what they let through.
LEVELS: Mapping[str, int] = {
    "trace": logging.DEBUG,  # and libraries at debug too
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}
_MASK = "********"
_SECRET_NAME = re.compile(
    r"token|secret|passw|authori[sz]ation|api[_-]?key|credential|private[_-]?key|cookie", re.IGNORECASE
)
_SECRET_TEXT = re.compile(r"(?i)(//[^:/@\s]*:)\S*(?=@)|(bearer\s+)[\w.~+/=-]+|((?:password|token|secret)=)[^&\s]+")
_HARMLESS = frozenset({bool, int, float, type(None)})
_DEEPEST = 6  # levels of nesting that a line keeps

EventDict = MutableMapping[str, Any]


def configure(level: str, *, file: BinaryIO | None = None) -> None:
    """Route structlog and the standard library's logging to `file` (default stdout). `level` is a logrus name."""
    number = LEVELS[level]
    structlog.configure(
        processors=[*_enrich(), structlog.processors.format_exc_info, redact, _render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(file or sys.stdout.buffer),
        cache_logger_on_first_use=False,  # so that a later configure counts, as in tests
    )
    root = logging.getLogger()
    root.handlers = [_ThroughStructlog(file or sys.stdout.buffer)]
    # Libraries at debug would bury our own lines: only `trace` shows them.
    root.setLevel(logging.DEBUG if level == "trace" else max(number, logging.INFO))


def progress_context(
    *,
    workflow_id: str,
    action_id: str | None = None,
    step: int | None = None,
    total_steps: int | None = None,
    progress: float | None = None,
) -> AbstractContextManager[None]:
    """Put what is known about the work at hand on every line within; `progress` is 0 to 1."""
    known = {"action_id": action_id, "step": step, "total_steps": total_steps, "progress": progress}
    given = {name: value for name, value in known.items() if value is not None}
    return structlog.contextvars.bound_contextvars(workflow_id=workflow_id, **given)


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Mask what is called like a secret, and passwords and tokens within texts. The last step before rendering."""
    texts = []
    for key, value in event.items():
        kind = type(value)
        if kind is str and not _is_secret_name(key):
            texts.append(value)
        elif kind not in _HARMLESS:
            event[key] = _redacted(key, value, _DEEPEST)
    if _suspect(" ".join(texts)):  # once for all of them: nearly no line is
        for key, value in event.items():
            event[key] = _redacted(key, value, _DEEPEST)
    return event


def _redacted(key: str, value: Any, depth: int) -> Any:
    if type(value) in _HARMLESS:
        return value
    if _is_secret_name(key):
        return _MASK
    if isinstance(value, str):
        return _SECRET_TEXT.sub(lambda match: f"{match[1] or match[2] or match[3]}{_MASK}", value)
    return _redacted_within(value, depth)


def _suspect(value: str) -> bool:
    """Whether it may hold a secret. Texts that do have one of these, and looking for them first is much cheaper."""
    return "@" in value or "=" in value or "bearer" in value.lower()


@lru_cache(maxsize=1024)
def _is_secret_name(key: str) -> bool:
    return _SECRET_NAME.search(key) is not None


def _redacted_within(value: Any, depth: int) -> Any:
    if depth == 0:
        return "..."
    if isinstance(value, Mapping):
        return {str(name): _redacted(str(name), inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", inner, depth - 1) for inner in value]
    return _redacted("", str(value), 1)


def _enrich() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _render(_logger: object, _method: str, event: EventDict) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # such as an integer beyond 64 bit or a lone surrogate: a line must not be lost for that
        return json.dumps(event, default=str).encode()


class _ThroughStructlog(logging.Handler):
    """Library records in the same form, through the same lock and file as our own lines."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._out = structlog.BytesLogger(file)
        self._form = structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                lambda *arguments: _render(*arguments).decode(),
            ],
            foreign_pre_chain=[*_enrich(), structlog.stdlib.add_logger_name],
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self._out.msg(self._form.format(record).encode())
        except Exception:  # noqa: BLE001 - a log line that cannot be formed must not break what it tells about
            self.handleError(record)
