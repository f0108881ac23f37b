"""Bytes -> JSON, as much of it as there is: one broken text must not make a whole delivery unreadable."""

from __future__ import annotations

import json

import orjson

from workflow_service.domain.alert import shown
from workflow_service.domain.errors import Violation
from workflow_service.domain.received import Unreadable

_LONGEST_INTEGER = 20  # digits that may fit into 64 bits


def document(body: bytes) -> object:
    """The JSON document in `body`.

    What JSON forbids inside a text or a number (lone surrogates, bytes that are no UTF-8, numbers beyond every float)
    is let through in a form that the reader of the alert refuses, so that it costs one alert and not its neighbours.

    Raises:
        Unreadable: it is no JSON, or nested too deep.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _leniently(body, str(error))


def _leniently(body: bytes, why: str) -> object:
    try:
        return json.loads(body.decode("utf-8-sig", "surrogateescape"), parse_int=_integer)
    except (ValueError, RecursionError):
        begins = shown(body[:40].decode("utf-8", "replace"))
        raise Unreadable("the body is not JSON", [Violation("body", begins, f"must be JSON: {why}")]) from None


def _integer(text: str) -> float:
    return int(text) if len(text) <= _LONGEST_INTEGER else float(text)
