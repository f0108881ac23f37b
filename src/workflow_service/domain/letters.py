"""A notification in words: a headline and lines, as plain text, which each channel escapes in its own way. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow_service.domain.notices import Kind

HEADLINE = 150  # characters


@dataclass(frozen=True, slots=True)
class Link:
    """Somewhere to go on."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel gets to tell."""

    id: str  # the same in every try
    kind: str
    at: str  # RFC 3339
    headline: str
    lines: Sequence[str]
    links: Sequence[Link]
    data: Mapping[str, Any]


def headline(kind: str, data: Mapping[str, Any]) -> str:
    """One line that says what it is about."""
    if kind in {Kind.ALARM_RAISED, Kind.ALARM_OVER}:
        return f"alarm{_where(data)}: {data.get('message', '')}"[:HEADLINE]
    about = f"{data.get('alert') or 'a workflow'}{_where(data)}"
    words = {
        Kind.ENDED: f"{about}: {data.get('status', '')} ({data.get('reason', '')})",
        Kind.ESCALATED: f"{about}: a person is needed ({data.get('reason', '')})",
        Kind.ASKED: f"{about}: approval is asked for",
        Kind.EXPIRING: f"{about}: the approval expires soon",
        Kind.UNANSWERED: f"{about}: nobody has answered the approval",
        Kind.DECIDED: f"{about}: {data.get('outcome', '')}",
    }
    return words.get(Kind(kind), about)[:HEADLINE]


def lines(kind: str, data: Mapping[str, Any]) -> list[str]:
    """What else there is to say, most important first."""
    told = [*_facts(data), *_plan(data.get("plan") or {})]
    told += _changes(data) if kind == Kind.ENDED else ()
    if data.get("workflow_id"):
        told.append(f"workflow {data['workflow_id']}, severity {data.get('severity', '')}")
    return told


def _where(data: Mapping[str, Any]) -> str:
    place = "/".join(filter(None, (data.get("cluster"), data.get("namespace"))))
    return f" in {place}" if place else ""


_LABELS = (
    ("cause", "cause"),
    ("why", "why"),
    ("message", "who"),
    ("step", "step"),
    ("until", "expires at"),
    ("resource", "about"),
)


def _facts(data: Mapping[str, Any]) -> Iterator[str]:
    for name, label in _LABELS:
        if data.get(name):
            yield f"{label}: {data[name]}"
    if data.get("until") and data.get("plan_hash"):
        yield f"plan: {data['plan_hash']}"


def _plan(plan: Mapping[str, Any]) -> Iterator[str]:
    for one in plan.get("actions", ()):
        given = ", ".join(f"{name}={value}" for name, value in one["parameters"].items())
        yield f"would do: {one['action']} {one['target']} ({given}); {one['undo']}"
    yield from _more(plan.get("number", 0) - len(plan.get("actions", ())), "actions")


def _changes(data: Mapping[str, Any]) -> Iterator[str]:
    found = data.get("changes", ())
    if not found:
        yield "changed: nothing is left changed"
    for one in found:
        what = f"{one['object']} {one['field']}: {one['before']} -> {one['after']}" if one["object"] else one["step"]
        yield f"changed: {what} (undo: {one['undo']})"
    yield from _more(data.get("changed", 0) - len(found), "changes")


def _more(number: int, what: str) -> Iterator[str]:
    if number > 0:
        yield f"and {number} more {what}"
