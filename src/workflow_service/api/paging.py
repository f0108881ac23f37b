"""Going on in a list that is sorted newest first: where a page ended, as a word that callers give back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from workflow_service.domain.errors import Rejected, Violation

CURSOR = r"^[1-9][0-9]{0,16}\.[0-9A-Za-z-]{1,100}$"
"""Every word of this form is a place in a list: microseconds since 1970, and an id."""

Cursor = Annotated[str | None, Field(None, pattern=CURSOR, description="next_cursor of the page before")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def next_cursor(found: Sequence[Mapping[str, Any]], limit: int, *, at: str, name: str) -> str | None:
    """The place behind the first `limit` of what was found; None: no more was found, and so the list is over.

    `at`, `name`: the keys of an entry under which the moment and the id are that the list is sorted by.
    """
    if len(found) <= limit:
        return None
    last = found[limit - 1]
    return f"{(last[at] - _EPOCH) // timedelta(microseconds=1)}.{last[name]}"


def read_cursor(text: str | None) -> tuple[datetime, str] | None:
    """Moment and id of the entry before; None: from the beginning.

    Raises:
        Rejected: it is no place in a list.
    """
    if text is None:
        return None
    if not re.fullmatch(CURSOR, text):
        raise Rejected("the list cannot go on", [Violation("cursor", text, "must be a next_cursor of an earlier page")])
    moment, _, name = text.partition(".")
    return _EPOCH + timedelta(microseconds=int(moment)), name
