"""Going on in a list that is sorted newest first: where a page ended, as a word that callers give back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

from workflow_service.domain.errors import Rejected, Violation

CURSOR = r"^[1-9][0-9]{0,16}\.[0-9A-Za-z-]{1,100}$"
"""Every word of this form is a place in a list: microseconds since 1970, and an id."""

Cursor = Annotated[str | None, Field(None, pattern=CURSOR, description="next_cursor of the page before")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cursor(at: datetime, name: str) -> str:
    """The place behind the entry of that moment and id."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}.{name}"


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
