"""The trace that the work at hand belongs to: in every log line as `trace_id`, and passed on in every call.

Nothing is recorded or exported here: who collects spans finds ours by the ids that our callers and the executor record.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

from workflow_service.domain.trace import Trace, trace_of

_CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """The span of the work at hand."""
    return _CURRENT.get()


def joined(parents: Sequence[str], states: Sequence[str]) -> Trace:
    """A span of ours in the caller's trace; in a new one, when the caller tells of none that is valid."""
    told = trace_of(parents, states) or Trace(secrets.token_hex(16), "")
    return told.child(secrets.token_hex(8))


@contextmanager
def within(span: Trace | None) -> Iterator[None]:
    """Work that belongs to this span; None: to no trace."""
    if span is None:
        yield
        return
    token = _CURRENT.set(span)
    try:
        with structlog.contextvars.bound_contextvars(trace_id=span.trace_id):
            yield
    finally:
        _CURRENT.reset(token)


def onward() -> Mapping[str, str]:
    """Headers for one call to another service, as a span of its own; none outside a trace."""
    span = _CURRENT.get()
    if span is None:
        return {}
    headers = {"traceparent": span.child(secrets.token_hex(8)).parent}
    return {**headers, "tracestate": span.state} if span.state else headers
