"""When a silence holds, which alerts it speaks of, and what is wrong with one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.expressions import COMPILED_PROGRAMS
from workflow_service.domain.silence import WEEKDAYS, Matchers, Silence, Weekly, flaws, holding

pytestmark = [pytest.mark.requirement("BR-WF-010")]

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)
NIGHT = Weekly(("sat",), "22:00", "04:00", "Europe/Berlin")


def silence(match: str = "true", **values: object) -> Silence:
    """A silence for a year."""
    return Silence(**{"id": "s", "kind": "silence", "match": match, "starts_at": START, "ends_at": END, **values})  # type: ignore[arg-type]


def test_it_holds_from_start_to_end() -> None:
    """The start belongs to it, the end does not."""
    one = silence()
    assert [one.open_until(at) for at in (START - timedelta(seconds=1), START, END)] == [None, END, None]


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-21T20:59:59", None),  # Saturday, 21:59:59 in Berlin
        ("2026-11-21T21:00:00", "2026-11-22T03:00:00"),
        ("2026-11-22T02:59:59", "2026-11-22T03:00:00"),  # on Sunday, what began on Saturday
        ("2026-11-22T03:00:00", None),
        ("2026-11-22T22:00:00", None),  # Sunday night is none of its days
        ("2026-07-04T20:00:00", "2026-07-05T02:00:00"),  # in summer its clocks are an hour ahead
        ("2026-03-28T21:00:00", "2026-03-29T02:00:00"),  # the night in which they are put forward is shorter
    ],
)
def test_a_weekly_time_is_that_of_its_clocks(at: str, until: str | None) -> None:
    """It begins and ends by the clocks of its zone, over midnight and over the changes of summer time."""
    found = silence(weekly=NIGHT).open_until(datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert found == (datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None)


def test_a_weekly_time_does_not_outlast_its_silence() -> None:
    """The end of the whole comes first."""
    one = silence(weekly=NIGHT, ends_at=datetime(2026, 11, 22, 1, tzinfo=UTC))
    assert one.open_until(datetime(2026, 11, 22, 0, tzinfo=UTC)) == one.ends_at


@given(st.floats(0, 360 * 86400))
def test_all_days_together_leave_no_gap(seconds: float) -> None:
    """A time from midnight to midnight on every day holds always."""
    at = START + timedelta(days=2, seconds=seconds)
    assert silence(weekly=Weekly(WEEKDAYS, "00:00", "00:00", "Asia/Kolkata")).open_until(at) is not None


def test_it_speaks_of_what_its_expression_says() -> None:
    """Over the alert's fields; where it cannot be evaluated, the alert is not held back."""
    alert = {"name": "HighCPU", "severity": "critical", "namespace": "shop", "labels": {"team": "web"}}
    speaking = "alert.namespace == 'shop' && alert.labels.team == 'web'"
    for match, speaks in ((speaking, True), ("alert.severity == 'low'", False), ("alert.labels.absent == 'x'", False)):
        standing = Matchers().standing([silence(match)], START)
        assert (holding(standing, alert) is not None) is speaks, match


def test_a_broken_field_silences_nothing_and_hides_nothing() -> None:
    """An alert with a text that no expression can take is still held back by silences that do not ask for that."""
    alert = {"name": "x", "annotations": {"summary": "a\0b"}}
    asking, other = silence("'summary' in alert.annotations"), silence("alert.name == 'x'", id="other")
    held = [holding(Matchers().standing(these, START), alert) for these in ([asking, asking], [asking, other])]
    assert [one and one.silence.id for one in held] == [None, "other"]


def test_every_expression_is_compiled_once_while_its_silence_stands() -> None:
    """However many silences there are: the same program answers again, also when another silence joins them."""
    matchers = Matchers()
    many = [silence(f"alert.name == '{index}'", id=str(index)) for index in range(COMPILED_PROGRAMS + 8)]
    first = matchers.standing(many, START)
    again = matchers.standing([*many, silence("alert.name == 'new'")], START)
    assert all(one.match is other.match for one, other in zip(first, again, strict=False))


def test_the_longest_one_counts() -> None:
    """Of several that hold, the one that ends last is told."""
    at = START + timedelta(days=1)
    short, long, other = silence(ends_at=at + timedelta(hours=1)), silence(id="long"), silence("false")
    found = holding(Matchers().standing([short, long, other], at), {"name": "x"})
    assert found is not None
    assert (found.silence, found.until) == (long, END)
    assert holding(Matchers().standing([other], at), {"name": "x"}) is None


@pytest.mark.parametrize(
    ("one", "field"),
    [
        (silence("alert.nothing == 1"), "match"),
        (silence("alert.name"), "match"),
        (silence("1 +"), "match"),
        (silence(ends_at=START), "ends_at"),
        (silence(ends_at=START + timedelta(days=400)), "ends_at"),
        (silence(weekly=Weekly((), "22:00", "04:00", "UTC")), "weekly.weekdays"),
        (silence(weekly=Weekly(("day",), "22:00", "04:00", "UTC")), "weekly.weekdays"),
        (silence(weekly=Weekly(("mon",), "24:00", "04:00", "UTC")), "weekly.begins"),
        (silence(weekly=Weekly(("mon",), "22:00", "4", "UTC")), "weekly.until"),
        (silence(weekly=Weekly(("mon",), "22:00", "04:00", "Mars/Phobos")), "weekly.timezone"),
        (silence(weekly=Weekly(("mon",), "22:00", "04:00", "../../etc/passwd")), "weekly.timezone"),
    ],
)
def test_what_is_wrong_is_named(one: Silence, field: str) -> None:
    """Field, value and rule; what is right has no flaw."""
    assert [violation.field for violation in flaws(one)] == [field]
    assert not list(flaws(silence(weekly=NIGHT)))
