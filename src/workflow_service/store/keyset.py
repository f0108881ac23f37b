"""Going on in a list that is sorted newest first, from behind the row at which it was left."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa


def behind(place: tuple[datetime, str], at: sa.Column[datetime], name: sa.Column[str]) -> sa.ColumnElement[bool]:
    """What comes after the row of that moment and id; the list is sorted by these two columns, both descending."""
    moment, last = place
    return sa.tuple_(at, name) < sa.tuple_(sa.literal(moment, at.type), sa.literal(last))
