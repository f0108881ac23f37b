"""The kinds of columns that our tables have beside SQLAlchemy's own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime: `timestamptz` in PostgreSQL, sortable ISO text in SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """Store UTC; a naive datetime is a bug, not a guess.

        Raises:
            ValueError: the datetime is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    # The arguments are SQLAlchemy's.
    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Give back aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Document(TypeDecorator[Any]):
    """A JSON document as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """Encode; dataclasses, enums and datetimes are understood."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's
        """Decode."""
        return None if value is None else orjson.loads(value)


class Words(TypeDecorator[str]):
    """Text that quotes others: what UTF-8 or PostgreSQL cannot hold becomes visible instead of refusing the row."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's
        """Show NUL and lone surrogates as escapes."""
        return None if value is None else visible(value)


def visible(text: str) -> str:
    """Text with NUL and lone surrogates shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
