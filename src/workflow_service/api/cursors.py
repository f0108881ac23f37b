"""Where a list goes on: a moment and an id, as one word that callers hand back unread."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from workflow_service.domain.errors import Rejected, Violation


def cursor(at: datetime, key: str) -> str:
    """The word for everything older than this."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{key}".encode()).decode().rstrip("=")


def read_cursor(word: str | None) -> tuple[datetime, str] | None:
    """What the word stands for.

    Raises:
        Rejected: it is none of ours.
    """
    if word is None:
        return None
    try:
        moment, _, key = base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)).decode().partition("|")
        at = datetime.fromisoformat(moment)
    except (ValueError, binascii.Error):
        at, key = None, ""
    if at is None or at.tzinfo is None or "\0" in key:
        raise Rejected("the list cannot go on", [Violation("cursor", word, "must be a next_cursor of an earlier page")])
    return at, key
