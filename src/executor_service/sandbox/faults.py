"""Scripted faults of the API: which requests are delayed, refused, or cut off after they took effect."""

from dataclasses import dataclass
from typing import Any

from executor_service.sandbox.errors import bad_request
from executor_service.sandbox.objects import Object

_MATCHED = ("verb", "group", "resource", "namespace", "name", "subresource", "user_agent")
_KNOWN = ("match", "status", "times", "delay_seconds", "drop")


@dataclass(slots=True)
class Fault:
    """One scripted fault; `left` counts down with every request it strikes."""

    match: dict[str, str]
    status: int | None
    left: int
    delay_seconds: float
    drop: bool

    def strikes(self, request: dict[str, str]) -> bool:
        """Whether it applies to a request; what `match` leaves out matches everything."""
        return self.left > 0 and all(request.get(key) == value for key, value in self.match.items())

    def shown(self) -> Object:
        """As GET /sandbox/faults lists it."""
        return {
            "match": self.match,
            "status": self.status,
            "times": self.left,
            "delay_seconds": self.delay_seconds,
            "drop": self.drop,
        }


class Faults:
    """The faults that are waiting for requests."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, body: Any) -> Object:
        """Script a fault. Raises ApiError 400 naming the field that is wrong."""
        fault = read_fault(body)
        self._faults.append(fault)
        return fault.shown()

    def take(self, request: dict[str, str]) -> Fault | None:
        """The first fault that strikes a request, counted down."""
        for fault in self._faults:
            if fault.strikes(request):
                fault.left -= 1
                self._faults = [each for each in self._faults if each.left > 0]
                return fault
        return None

    def waiting(self) -> list[Object]:
        """What has not been used up."""
        return [fault.shown() for fault in self._faults]

    def clear(self) -> None:
        """Drop all faults."""
        self._faults.clear()


def read_fault(body: Any) -> Fault:
    """A fault from its JSON. Raises ApiError 400 naming the field that is wrong."""
    if not isinstance(body, dict):
        raise bad_request("a fault is a JSON object")
    unknown = [key for key in body if key not in _KNOWN]
    if unknown:
        raise bad_request(f"{unknown[0]}: unknown field; a fault has {', '.join(_KNOWN)}")
    _check(body)
    return Fault(
        match=_read_match(body.get("match", {})),
        status=body.get("status"),
        left=body.get("times", 1),
        delay_seconds=body.get("delay_seconds", 0),
        drop=body.get("drop", False),
    )


def _read_match(match: Any) -> dict[str, str]:
    if not isinstance(match, dict):
        raise bad_request("match: must be an object")
    for key, value in match.items():
        if key not in _MATCHED or not isinstance(value, str):
            raise bad_request(
                f"match.{key}: {value!r} is not a string or the field is not one of {', '.join(_MATCHED)}"
            )
    return match


def _check(body: Object) -> None:
    status, times = body.get("status"), body.get("times", 1)
    delay, drop = body.get("delay_seconds", 0), body.get("drop", False)
    if status is not None and not (_is_whole(status) and 400 <= status <= 599):
        raise bad_request(f"status: {status!r} must be an HTTP status from 400 to 599")
    if not _is_whole(times) or times < 1:
        raise bad_request(f"times: {times!r} must be a whole number of at least 1")
    if not (_is_whole(delay) or isinstance(delay, float)) or delay < 0:
        raise bad_request(f"delay_seconds: {delay!r} must be a number of at least 0")
    if not isinstance(drop, bool):
        raise bad_request(f"drop: {drop!r} must be true or false")
    if drop and status is not None:
        raise bad_request("drop: cannot be combined with status: a dropped request takes effect")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
