"""A moment as requests may say it: RFC 3339 with its offset, and no number that would be taken for seconds."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

from workflow_service.domain.alert import RFC3339


def _said(value: object) -> object:
    """Raises ValueError: it is none."""
    if not isinstance(value, str) or not RFC3339.fullmatch(value):
        raise ValueError("must be a time with its offset as in RFC 3339, such as 2026-11-23T03:00:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_said)]
