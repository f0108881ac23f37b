"""Trace contexts as the W3C text says them, and the span of the work at hand."""

from __future__ import annotations

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.trace import Trace, trace_of
from workflow_service.telemetry import tracing

ID, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{ID}-{SPAN}-01"
TRACE = Trace(ID, SPAN, sampled=True)


@pytest.mark.parametrize(
    ("parent", "found"),
    [
        (PARENT, TRACE),
        (f" {PARENT}\t", TRACE),
        (f"00-{ID}-{SPAN}-00", Trace(ID, SPAN)),
        (f"00-{ID}-{SPAN}-fe", Trace(ID, SPAN)),
        (f"00-{ID}-{SPAN}-03", TRACE),
        (f"cc-{ID}-{SPAN}-01", TRACE),
        (f"cc-{ID}-{SPAN}-01-what-the-future-will-be-like", TRACE),
    ],
)
def test_what_is_a_traceparent(parent: str, found: Trace) -> None:
    """Version 00, and later ones as far as they are like it; of the flags only the one that is known."""
    assert trace_of([parent]) == found


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"ff-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01-more",
        f"00-{ID}-{SPAN}-01-",
        f"cc-{ID}-{SPAN}-01.what",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{ID}-{SPAN.upper()}-01",
        f"00-{ID}-{SPAN}-0",
        f"00-{ID}-{SPAN}-0X",
        f"0-{ID}-{SPAN}-01",
        f"00-{ID[1:]}-{SPAN}-01",
        f"00-{ID}a-{SPAN}-01",
        f"00_{ID}_{SPAN}_01",
    ],
)
def test_what_is_none(parent: str) -> None:
    """It counts as if nothing had been told."""
    assert trace_of([parent], ["a=1"]) is None
    assert trace_of([PARENT, PARENT]) is None
    assert trace_of([]) is None


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        (["a=1"], "a=1"),
        (["a=1 , b=2", "c=3"], "a=1,b=2,c=3"),
        (["a=1,,b=2,"], "a=1,b=2"),
        (["fw529a3039@dt=FfCMg/e*", "a-_*/=! ~"], "fw529a3039@dt=FfCMg/e*,a-_*/=! ~"),
        (["0t@s=1"], "0t@s=1"),
        (["a=1,a=2"], ""),
        (["A=1"], ""),
        (["0a=1"], ""),
        (["a"], ""),
        (["a="], ""),
        (["a=1=2"], ""),
        (["t@0s=1"], ""),
        ([f"{'a' * 257}=1"], ""),
        ([",".join(f"k{number}=1" for number in range(33))], ""),
        ([",".join(f"k{number}=1" for number in range(32))], ",".join(f"k{number}=1" for number in range(32))),
    ],
)
def test_tracestate_is_passed_on_or_left_out(states: list[str], kept: str) -> None:
    """All of it when every member is one, none of it otherwise; the traceparent counts either way."""
    found = trace_of([PARENT], states)
    assert found is not None
    assert (found.parent, found.state) == (PARENT, kept)


def test_a_long_tracestate_is_shortened_as_asked() -> None:
    """Members over 128 characters go first, then those at the end, until it is at most 512 characters long."""
    small, large = [f"k{number}={'v' * 100}" for number in range(5)], f"big={'x' * 200}"
    found = trace_of([PARENT], [",".join([large, *small])])
    assert found is not None
    assert found.state == ",".join(small[:4])


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_that_is_sent_breaks_it(parent: str, state: str) -> None:
    """Whatever comes is a trace that can be told again, or none."""
    for one in (parent, PARENT):
        found = trace_of([one], [state])
        assert found is None or trace_of([found.parent], [found.state]) == found


def test_the_span_of_the_work_at_hand() -> None:
    """It is in log lines and in calls only within; a call is a span of its own in the same trace."""
    assert tracing.onward() == {}
    with tracing.within(Trace(ID, SPAN, state="a=1")), tracing.within(None):
        first, second = tracing.onward(), tracing.onward()
        assert structlog.contextvars.get_contextvars()["trace_id"] == ID
    assert tracing.current() is None
    assert "trace_id" not in structlog.contextvars.get_contextvars()
    assert first["tracestate"] == "a=1"
    spans = {one["traceparent"].split("-")[2] for one in (first, second)}
    assert len(spans | {SPAN}) == 3
    assert {one["traceparent"].split("-")[1] for one in (first, second)} == {ID}


def test_a_span_of_ours() -> None:
    """In the caller's trace, with its flag and state; in a new one, that nobody wants recorded, when there is none."""
    ours = tracing.joined([PARENT], ["a=1"])
    assert (ours.trace_id, ours.sampled, ours.state) == (ID, True, "a=1")
    assert ours.span_id != SPAN
    alone, other = tracing.joined(["nonsense"], ["a=1"]), tracing.joined([], [])
    assert trace_of([alone.parent]) == alone
    assert alone.trace_id != other.trace_id
