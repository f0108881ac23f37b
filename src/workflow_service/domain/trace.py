"""A trace as services tell it to each other: W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1/)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SAMPLED = 0x01  # the one flag of level 1; the others must not be passed on
MOST_MEMBERS, MOST_CHARACTERS = 32, 512  # of a tracestate that is passed on

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KEY = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER = re.compile(rf"({_KEY})=[ -+\--<>-~]{{0,255}}[!-+\--<>-~]")


@dataclass(frozen=True, slots=True)
class Trace:
    """One span of a trace: whose work this is part of, by ids in lower-case hex."""

    trace_id: str  # 32 digits
    span_id: str  # 16 digits
    sampled: bool = False  # whoever began it wants it recorded
    state: str = ""  # tracestate: other systems' words, passed on as they came

    @property
    def parent(self) -> str:
        """`traceparent` for whom this span calls."""
        return f"00-{self.trace_id}-{self.span_id}-{SAMPLED if self.sampled else 0:02x}"

    def child(self, span_id: str) -> Trace:
        """Another span of the same trace."""
        return Trace(self.trace_id, span_id, self.sampled, self.state)


def trace_of(parents: Sequence[str], states: Sequence[str] = ()) -> Trace | None:
    """The span of who calls, from the `traceparent` and `tracestate` headers that came; None: they tell of none.

    Without a valid traceparent there is none, and the tracestate is not looked at; an invalid tracestate is left out.
    """
    found = _PARENT.fullmatch(parents[0].strip(" \t")) if len(parents) == 1 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & SAMPLED), _state(",".join(states)))


def _state(told: str) -> str:
    members = [member for one in told.split(",") if (member := one.strip(" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = [match[1] for match in found if match is not None]
    if len(keys) != len(members) or len(set(keys)) != len(keys) or len(members) > MOST_MEMBERS:
        return ""
    while sum(map(len, members)) + len(members) > MOST_CHARACTERS + 1:
        # As the text asks: first those that are over 128 characters, then from the end.
        members.remove(next((one for one in reversed(members) if len(one) > 128), members[-1]))
    return ",".join(members)
