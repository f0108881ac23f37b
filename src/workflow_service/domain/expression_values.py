"""The values that go into an expression: plain JSON-like data within caps, or a message naming the input at fault."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

MAX_STRING_BYTES = 16 * 1024  # UTF-8
MAX_ITEMS = 200  # of a list or a map
MAX_BYTES = 256 * 1024  # all values of one evaluation together
MAX_DEPTH = 32  # of lists and maps in each other; the same for an expression
SCALAR_BYTES = 8
_LEAST, _MOST = -(2**63), 2**63 - 1


class EvaluationFailed(Exception):
    """An expression brought no usable value this time. The message is for people and names what is wrong."""


class Meter:
    """How many bytes of values there have been so far, up to `MAX_BYTES`."""

    def __init__(self) -> None:
        self._bytes = 0

    def take(self, size: int, at: str) -> None:
        """Count `size` bytes more, found at `at`.

        Raises:
            EvaluationFailed: they are too many now.
        """
        self._bytes += size
        if self._bytes > MAX_BYTES:
            raise EvaluationFailed(f"{at} makes the values more than {MAX_BYTES} bytes together")


def plain(value: object, at: str, meter: Meter, *, depth: int = 0) -> Any:
    """A copy of the value made of None, bool, int, float, str, list and dict only; `at` names it in messages.

    A time becomes its RFC 3339 string: the library takes no times inside of lists and maps.

    Raises:
        EvaluationFailed: the value is over a cap, or is nothing that JSON can hold.
    """
    if depth > MAX_DEPTH:
        raise EvaluationFailed(f"{at} is nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        _check_items(len(value), at)
        return {
            _text(key, f"a key of {at}", meter): plain(item, f"{at}.{key}", meter, depth=depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        _check_items(len(value), at)
        return [plain(item, f"{at}[{index}]", meter, depth=depth + 1) for index, item in enumerate(value)]
    if isinstance(value, str | datetime):
        return _text(value, at, meter)
    meter.take(SCALAR_BYTES, at)
    return _scalar(value, at)


def _scalar(value: object, at: str) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if not isinstance(value, int):
        raise EvaluationFailed(f"{at} is a {type(value).__name__}, which is no JSON value")
    if not _LEAST <= value <= _MOST:
        raise EvaluationFailed(f"{at} is an integer beyond 64 bits")
    return int(value)


def _text(value: object, at: str, meter: Meter) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise EvaluationFailed(f"{at} is a time without a zone")
        value = value.isoformat()
    if not isinstance(value, str):
        raise EvaluationFailed(f"{at} is a {type(value).__name__}, must be a string")
    text = str(value)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise EvaluationFailed(f"{at} is not valid Unicode") from None
    if "\0" in text:  # the library would silently end the string here
        raise EvaluationFailed(f"{at} holds a NUL character")
    if size > MAX_STRING_BYTES:
        raise EvaluationFailed(f"{at} is {size} bytes long, more than {MAX_STRING_BYTES}")
    meter.take(size + SCALAR_BYTES, at)
    return text


def _check_items(count: int, at: str) -> None:
    if count > MAX_ITEMS:
        raise EvaluationFailed(f"{at} has {count} entries, more than {MAX_ITEMS}")
