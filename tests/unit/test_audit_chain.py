"""The chain of the audit log: whatever is done to it is found and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.audit import NOTHING, Entry, Following, Link, Row, chained

AT = datetime(2026, 11, 23, tzinfo=UTC)


def entry(number: int) -> Entry:
    """A write."""
    at = AT + timedelta(microseconds=number)
    return Entry(f"id-{number}", at, "key:ana", "POST /x", f"w-{number}", "10.0.0.1", f"r-{number}", "200")


def chain(length: int, head: Link = NOTHING) -> list[Row]:
    """A chain of that many rows."""
    return list(chained([entry(number) for number in range(length)], head))


def flaws(rows: Sequence[Row], head: Link, floor: Link = NOTHING) -> list[str]:
    """All that is wrong."""
    following = Following(floor)
    found = [one for row in rows for one in following.step(row)]
    return [*found, *following.end(head)]


def test_a_whole_chain() -> None:
    """What nobody has touched has no flaws, in one piece, in several, empty, and above what was forgotten."""
    rows = chain(5)
    more = chain(3, rows[-1].link)
    assert [row.seq for row in rows + more] == list(range(1, 9))
    assert flaws(rows + more, more[-1].link) == []
    assert flaws(more, more[-1].link, floor=rows[-1].link) == []
    assert flaws([], NOTHING) == []


@pytest.mark.parametrize("name", [name for name in Entry.__dataclass_fields__ if name != "at"])
def test_a_changed_row_is_named(name: str) -> None:
    """A change of any part of a row names that row and no other."""
    rows = chain(5)
    changes: dict[str, Any] = {name: "other"}
    changed = [*rows[:2], replace(rows[2], entry=replace(rows[2].entry, **changes)), *rows[3:]]
    assert flaws(changed, rows[-1].link) == ["row 3 is not what was written there: it was changed, or moved there"]
    moment = replace(rows[2], entry=replace(rows[2].entry, at=AT - timedelta(days=1)))
    assert len(flaws([*rows[:2], moment, *rows[3:]], rows[-1].link)) == 1


def test_removed_rows_are_named() -> None:
    """Wherever rows are missing, at the beginning, in the middle or at the end, they are named."""
    rows = chain(6)
    assert flaws(rows[1:], rows[-1].link) == ["row 1 is missing"]
    assert flaws([*rows[:2], *rows[4:]], rows[-1].link) == ["rows 3 to 4 are missing"]
    assert flaws(rows[:-2], rows[-1].link) == ["rows 5 to 6 are missing"]
    assert flaws([], rows[-1].link) == ["rows 1 to 6 are missing"]


def test_reordered_rows_are_named() -> None:
    """Two rows that have changed places are both named, and only they."""
    rows = chain(5)
    swapped = [rows[0], replace(rows[2], seq=2), replace(rows[1], seq=3), *rows[3:]]
    assert [one.split()[1] for one in flaws(swapped, rows[-1].link)] == ["2", "3"]


def test_a_row_that_was_made_anew() -> None:
    """A row with a hash of its own making is found by the row after it; the last one by the head."""
    rows = chain(5)
    (forged,) = chained([replace(rows[2].entry, who="key:eve")], rows[1].link)
    found = flaws([*rows[:2], forged, *rows[3:]], rows[-1].link)
    assert found == ["row 4 does not follow row 3: one of the two was replaced"]
    (last,) = chained([replace(rows[4].entry, who="key:eve")], rows[3].link)
    assert flaws([*rows[:4], last], rows[-1].link) == ["row 5 is not the one that was written last"]


@given(st.integers(2, 12), st.data())
def test_no_mischief_is_overlooked(length: int, data: st.DataObject) -> None:
    """Any single change, removal, exchange or repetition of rows leaves at least one flaw."""
    rows = chain(length)
    at = data.draw(st.integers(0, length - 1))
    other = data.draw(st.integers(0, length - 1).filter(lambda one: one != at))
    deed = data.draw(st.sampled_from(["change", "remove", "swap", "renumber"]))
    mine, theirs = rows[at], rows[other]
    if deed == "change":
        rows[at] = replace(mine, entry=replace(mine.entry, outcome="500"))
    elif deed == "remove":
        del rows[at]
    elif deed == "swap":
        rows[at], rows[other] = replace(theirs, seq=mine.seq), replace(mine, seq=theirs.seq)
    else:
        rows = [*rows[:at], *(replace(row, seq=row.seq - 1) for row in rows[at + 1 :])]
    assert flaws(rows, chain(length)[-1].link)
