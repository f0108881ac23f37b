"""Going on in a list that is sorted newest first: where a page ended, as a word that callers give back."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from workflow_service.domain.errors import Rejected, Violation


def cursor(at: datetime, name: str) -> str:
    """The place behind the entry of that moment and id."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{name}".encode()).decode().rstrip("=")


def read_cursor(text: str | None) -> tuple[datetime, str] | None:
    """Moment and id of the entry before; None: from the beginning.

    Raises:
        Rejected: no page has given this cursor.
    """
    if text is None:
        return None
    try:
        moment, _, name = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition("|")
        at = datetime.fromisoformat(moment)
    except (ValueError, binascii.Error):
        at, name = None, ""
    if at is None or at.tzinfo is None or "\0" in name:
        raise Rejected("the list cannot go on", [Violation("cursor", text, "must be a next_cursor of an earlier page")])
    return at, name
