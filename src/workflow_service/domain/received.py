"""What a delivery turned out to hold: alerts, and what was meant to be one but cannot be understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from workflow_service.domain.alert import Alert, alert_from_json, shown
from workflow_service.domain.errors import InvalidAlert, Rejected, Violation

LONGEST_REASON = 1000  # characters: what is kept and answered about one alert
MAX_ALERTS = 50_000  # that are read of one delivery: 16 MB of alerts of 320 bytes, which is less than any real one has


class Unreadable(Rejected):
    """The delivery as a whole is not what its sender says it is; no alert of it can be told."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """One alert that cannot be understood, why, and as it came."""

    reason: str
    raw: object

    @property
    def fingerprint(self) -> str | None:
        """The sender's own word for it, when there is one that can be shown."""
        given = self.raw.get("fingerprint") if isinstance(self.raw, Mapping) else None
        return str(shown(given)) if isinstance(given, str) and given.strip() else None


@dataclass(frozen=True, slots=True)
class Received:
    """All alerts of one delivery, in the sender's order."""

    found: tuple[Alert | Invalid, ...]
    truncated: int = 0  # alerts that the sender says it has left out
    note: str = ""  # what else there is to say, such as why an event is no alert


def read_alert(document: object, *, raw: object = None) -> Alert | Invalid:
    """An alert in the specification's shape; `raw` is what it was made of, None: the document itself."""
    try:
        return alert_from_json(document)
    except InvalidAlert as error:
        return invalid(error, document if raw is None else raw)


def invalid(error: Rejected, raw: object) -> Invalid:
    """What an error says about one alert."""
    reason = str(error)
    return Invalid(reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 3]}...", raw)


def expect_object(value: object, where: str) -> Mapping[str, Any]:
    """`value` as a JSON object.

    Raises:
        Unreadable: it is something else.
    """
    if not isinstance(value, Mapping):
        raise Unreadable("the delivery cannot be read", [Violation(where, shown(value), "must be a JSON object")])
    return value


def expect_list(value: object, where: str) -> list[Any]:
    """`value` as a JSON list.

    Raises:
        Unreadable: it is something else.
    """
    if not isinstance(value, list):
        raise Unreadable("the delivery cannot be read", [Violation(where, shown(value), "must be a list")])
    return value


def bounded(found: Iterator[Alert | Invalid], where: str) -> tuple[Alert | Invalid, ...]:
    """As many as are answered one by one; all that are beyond are one that is invalid, and are not read."""
    taken = tuple(islice(found, MAX_ALERTS))
    if next(found, None) is None:
        return taken
    rule = f"must have at most {MAX_ALERTS} entries: those beyond are not read"
    return (*taken, invalid(Unreadable("the surplus is left out", [Violation(where, "more entries", rule)]), None))


def absent(value: object) -> bool:
    """Whether Go's encoder would have sent this for something that was never set."""
    return value is None or value in ("", {}, [])
