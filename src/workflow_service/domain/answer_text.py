"""From the text that a model wrote to the one JSON document in it, or what is wrong with it. Pure.

What providers are known to do is put up with: code fences, a document as a JSON string inside of JSON, a byte order
mark, thoughts before the answer. What is ambiguous is refused: two documents, a key twice, numbers that are none.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Any

LONGEST = 64 * 1024  # characters of one answer
_FENCED = re.compile(r"```[a-zA-Z0-9_-]{0,20}[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
# Thoughts that a server has left in: between tags (Qwen, DeepSeek), or as gpt-oss marks them (Harmony).
_THOUGHTS = re.compile(r"<think>.*?</think>|(?:<\|start\|>|<\|channel\|>).*<\|message\|>", re.DOTALL)
_END_MARK = re.compile(r"<\|(?:end|return)\|>\s*\Z")
_WRAPPED = 3  # documents inside of strings, at most


class Reason(StrEnum):
    """Why an answer is refused; words of a metric."""

    TRUNCATED = "truncated"  # cut off before its end
    REFUSED = "refused"  # the model declined, or a filter stepped in
    FORMAT = "format"  # no JSON document, or not one
    SCHEMA = "schema"  # a document, but not of the form that was asked for
    CANDIDATE = "candidate"  # names what was not offered
    PARAMETER = "parameter"  # sets what it may not, or to what it may not
    TARGET = "target"  # says what is to be acted upon


class Unreadable(ValueError):
    """There is no one document in the text; the message says why, and quotes nothing of it."""


def document_in(text: str) -> Any:
    """The JSON value in `text`.

    Raises:
        Unreadable: there is none, or more than one.
    """
    if len(text) > LONGEST:
        raise Unreadable(f"must be at most {LONGEST} characters")
    value: Any = text
    for _ in range(_WRAPPED):
        value = _parsed(_unfenced(_spoken(value.strip().removeprefix("\ufeff").strip())))
        if not isinstance(value, str):
            return value
    raise Unreadable("must be a JSON object, not a text within texts")


def _spoken(text: str) -> str:
    """Without the thoughts that come first."""
    thoughts = _THOUGHTS.match(text)
    return _END_MARK.sub("", text[thoughts.end() :]).strip() if thoughts else text


def _unfenced(text: str) -> str:
    if text[:1] in {"{", '"'}:
        return text
    found = _FENCED.findall(text)
    if len(found) > 1:
        raise Unreadable("must be one JSON document, not several in code fences")
    return str(found[0]).strip() if found else text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("must not be nested so deep") from None
    except ValueError:
        raise Unreadable("must be one JSON document and nothing else") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("must not say the same key twice")
    return found


def _no_number(_: str) -> Any:
    raise Unreadable("must not hold NaN or Infinity")
