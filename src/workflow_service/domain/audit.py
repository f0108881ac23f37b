"""The chain of the audit log: each row's hash covers its own content and the hash of the row before.

Whoever changes a row, takes one out or moves one breaks the chain there. Who may write to the database can make a new
chain that holds; that is found by an anchor (number and hash of a row) that is kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One write: who did what to what, from where, and what came of it. Printable ASCII throughout."""

    id: str
    at: datetime
    who: str
    what: str
    target: str
    source: str
    request_id: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Row:
    """An entry in its place."""

    seq: int
    entry: Entry
    previous: str
    hash: str

    @property
    def link(self) -> Link:
        """Its place."""
        return Link(self.seq, self.hash)


NOTHING = Link(0, "0" * 64)
"""The place before the first row."""


def chained(entries: Iterable[Entry], head: Link) -> Sequence[Row]:
    """The rows that put these entries after `head`."""
    rows: list[Row] = []
    for entry in entries:
        seq = head.seq + 1
        row = Row(seq, entry, head.hash, _hash(seq, entry, head.hash))
        rows.append(row)
        head = row.link
    return rows


class Following:
    """Goes along the chain, row by row, from just above `floor`, and says what is wrong with it."""

    def __init__(self, floor: Link) -> None:
        self._last, self._sound = floor, True

    def step(self, row: Row) -> Sequence[str]:
        """What is wrong with the next row, or between it and the one before; nothing when it is as it was written."""
        last, wrong = self._last, []
        if row.seq > last.seq + 1:
            wrong.append(_missing(last.seq + 1, row.seq - 1))
        intact = row.hash == _hash(row.seq, row.entry, row.previous)
        if not intact:
            wrong.append(f"row {row.seq} is not what was written there: it was changed, or moved there")
        elif row.seq == last.seq + 1 and row.previous != last.hash and self._sound:
            wrong.append(f"row {row.seq} does not follow row {last.seq}: one of the two was replaced")
        self._last, self._sound = row.link, intact
        return wrong

    def end(self, head: Link) -> Sequence[str]:
        """What is wrong with the end, which should be `head`."""
        if self._last.seq < head.seq:
            return [_missing(self._last.seq + 1, head.seq)]
        if self._last != head and self._sound:
            return [f"row {self._last.seq} is not the one that was written last"]
        return []


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"


def _hash(seq: int, entry: Entry, previous: str) -> str:
    moment = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    content = [previous, seq, moment, *(value for value in astuple(entry) if isinstance(value, str))]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
