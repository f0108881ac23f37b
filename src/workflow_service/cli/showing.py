"""How answers are shown: tables for people, JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], object]]

WORKFLOWS: Sequence[Column] = (
    ("workflow", lambda row: row["workflow_id"]),
    ("alert", lambda row: row["alert_name"]),
    ("severity", lambda row: row["severity"]),
    ("namespace", lambda row: row["namespace"]),
    ("status", lambda row: row["status"] + (f" ({row['reason']})" if row["reason"] else "")),
    ("actions", lambda row: f"{row['actions_ended']}/{row['actions_total']}"),
    ("age", lambda row: age(row["created_at"])),
)
ALERTS: Sequence[Column] = (
    ("alert", lambda row: row["alert_id"]),
    ("name", lambda row: row["alert"].get("name")),
    ("namespace", lambda row: row["alert"].get("namespace")),
    ("outcome", lambda row: row["outcome"] or "undecided"),
    ("workflow", lambda row: row["workflow_id"]),
    ("age", lambda row: age(row["received_at"])),
)
SENT: Sequence[Column] = (
    ("alert", lambda row: row["alert_id"]),
    ("outcome", lambda row: row["outcome"]),
    ("workflow", lambda row: row["workflow_id"]),
    ("reason", lambda row: row["reason"]),
)
RULES: Sequence[Column] = (
    ("rule", lambda row: row["rule"]),
    ("decided", lambda row: row["decided"]),
    ("saw", lambda row: row["saw"]),
)


def as_json(value: object) -> None:
    """Print it as a program reads it."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """Print rows below the names of their columns, as wide as they need to be: lines can be cut and searched."""
    lines = [[name.upper() for name, _ in columns]]
    lines += [[_word(tell(row)) for _, tell in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        click.echo("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())


def age(moment: str) -> str:
    """How long ago that was, in its largest unit."""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def printable(text: str) -> str:
    """Text without line breaks and without anything that a terminal would obey: others have written it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def shortened(text: str, most: int) -> str:
    """At most `most` characters of the text: what is too long is cut at a word's end, and says so with an ellipsis.

    Only a word that is longer than all of that is cut itself.
    """
    if len(text) <= most:
        return text
    # White space is kept, so that there is a first line even where there is nothing else.
    first, *_ = textwrap.wrap(text, most - 1, break_on_hyphens=False, drop_whitespace=False)
    return f"{first.rstrip()}…"


def _word(value: object) -> str:
    return "-" if value is None or value == "" else printable(str(value))
