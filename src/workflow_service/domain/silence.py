"""Silences and maintenance windows: which alerts nothing is done about, and when. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workflow_service.domain.errors import InvalidExpression, Violation
from workflow_service.domain.expressions import EvaluationFailed, Inputs, Program, Type, compile_expression
from workflow_service.domain.scope import ALERT, alert_values

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = timedelta(days=366)
MOST = 1000  # that are not over: each is asked about every alert
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True, slots=True)
class Weekly:
    """Times that come back every week. `until` at or before `begins` is on the next day."""

    weekdays: tuple[str, ...]  # on which it begins
    begins: str  # HH:MM on the clocks of `timezone`
    until: str
    timezone: str  # an IANA name


@dataclass(frozen=True, slots=True)
class Silence:
    """For which alerts, in which time. `match` is a CEL expression over `alert`."""

    id: str
    kind: str  # silence | maintenance
    match: str
    starts_at: datetime
    ends_at: datetime
    weekly: Weekly | None = None  # None: all the time from start to end
    comment: str = ""
    namespaces: tuple[str, ...] | None = None  # only for alerts in these; None: in all, and in none

    def open_until(self, now: datetime) -> datetime | None:
        """Until when it holds; None: it does not hold now."""
        if not self.starts_at <= now < self.ends_at:
            return None
        if self.weekly is None:
            return self.ends_at
        end = next((end for begin, end in _around(self.weekly, now) if begin <= now < end), None)
        return min(end, self.ends_at) if end is not None else None


@dataclass(frozen=True, slots=True)
class Standing:
    """A silence that holds at a moment, until when, and its expression."""

    silence: Silence
    until: datetime
    match: Program

    def speaks_of(self, namespace: str | None, alert: Inputs) -> bool:
        """Whether it is about the alert; one that cannot be evaluated over it is not."""
        within = self.silence.namespaces
        if within is not None and namespace not in within:
            return False
        try:
            return bool(self.match.evaluate(alert))
        except EvaluationFailed:
            return False


class Matchers:
    """The expressions of the silences that were read last: each is compiled once, and forgotten with its silence."""

    def __init__(self) -> None:
        self._programs: dict[str, Program] = {}

    def standing(self, silences: Sequence[Silence], now: datetime) -> Sequence[Standing]:
        """Those of all silences that hold now, ready to be asked; those that hold longest first."""
        known = self._programs
        self._programs = {one.match: known.get(one.match) or _matcher(one.match) for one in silences}
        found = [
            Standing(one, until, self._programs[one.match])
            for one in silences
            if (until := one.open_until(now)) is not None
        ]
        return sorted(found, key=lambda one: one.until, reverse=True)


def holding(standing: Sequence[Standing], alert: Mapping[str, Any]) -> Standing | None:
    """The first of them that speaks of the alert."""
    inputs, namespace = Inputs(alert_values(alert)), alert.get("namespace")
    return next((one for one in standing if one.speaks_of(namespace, inputs)), None)


def flaws(silence: Silence) -> Iterator[Violation]:
    """What is wrong with it."""
    try:
        _matcher(silence.match)
    except InvalidExpression as error:
        yield from error.violations
    if silence.ends_at <= silence.starts_at:
        yield Violation("ends_at", silence.ends_at.isoformat(), "must be after starts_at")
    elif silence.ends_at - silence.starts_at > LONGEST:
        yield Violation("ends_at", silence.ends_at.isoformat(), f"must be within {LONGEST.days} days of starts_at")
    if silence.weekly is not None:
        yield from _weekly_flaws(silence.weekly)


def _weekly_flaws(weekly: Weekly) -> Iterator[Violation]:
    if not weekly.weekdays:
        yield Violation("weekly.weekdays", [], "must name at least one day")
    for day in weekly.weekdays:
        if day not in WEEKDAYS:
            yield Violation("weekly.weekdays", day, f"must be of {', '.join(WEEKDAYS)}")
    for name, value in (("begins", weekly.begins), ("until", weekly.until)):
        if not _CLOCK.fullmatch(value):
            yield Violation(f"weekly.{name}", value, "must be a time of day as HH:MM")
    try:
        ZoneInfo(weekly.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Violation("weekly.timezone", weekly.timezone, "must be an IANA time zone such as Europe/Berlin")


def _matcher(source: str) -> Program:
    return compile_expression(source, ALERT, expects=Type.BOOL, at="match")


def _around(weekly: Weekly, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The times that may hold now: the one of today and the one that began yesterday."""
    zone = ZoneInfo(weekly.timezone)
    begins, until = time.fromisoformat(weekly.begins), time.fromisoformat(weekly.until)
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if WEEKDAYS[day.weekday()] in weekly.weekdays:
            last = day if until > begins else day + timedelta(days=1)
            yield datetime.combine(day, begins, zone), datetime.combine(last, until, zone)
