"""Every table of ours. DBOS keeps its own beside them; their names are reserved.

Times are UTC. Documents are JSON in TEXT, not JSONB: what an alert or an executor sends may hold an escaped NUL, which
JSONB refuses, and no query looks inside.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from workflow_service.domain.formats import FORMAT

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
    }
)


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

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Give back aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Document(TypeDecorator[Any]):
    """A JSON document as text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Encode; dataclasses, enums and datetimes are understood."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        """Decode."""
        return None if value is None else orjson.loads(value)


class Words(TypeDecorator[str]):
    """Text that quotes others: what UTF-8 or PostgreSQL cannot hold becomes visible instead of refusing the row."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Show NUL and lone surrogates as escapes."""
        return None if value is None else visible(value)


def visible(text: str) -> str:
    """Text with NUL and lone surrogates shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("received_at", Moment, nullable=False, index=True),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("source", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("delivery_id", sa.Text, sa.ForeignKey("deliveries.id"), nullable=False, index=True),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Column("outcome", sa.Text),  # NULL: not decided yet
    sa.Column("outcome_reason", sa.Text),
    sa.Column("workflow_id", sa.Text),
    sa.Column("decided_at", Moment),
    sa.Column("waits_for_start", sa.Boolean),  # its workflow begins only when somebody starts it; NULL: by itself
    sa.Index(
        "alerts_undecided_idx",
        "received_at",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    ),
)

workflows = sa.Table(
    "workflows",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alert_id", sa.Text, sa.ForeignKey("alerts.id"), nullable=False, index=True),
    sa.Column("execution_id", sa.Text, nullable=False),  # the newest; its status is the workflow's
    sa.Column("alert_name", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text),
    sa.Column("target", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index("workflows_created_at_id_idx", "created_at", "id"),
)

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("identity", sa.Text, primary_key=True),
    sa.Column("workflow_id", sa.Text, sa.ForeignKey("workflows.id"), primary_key=True, index=True),
)

active_identities = sa.Table(
    "active_identities",
    metadata,
    sa.Column("identity", sa.Text, primary_key=True),
    sa.Column("workflow_id", sa.Text, sa.ForeignKey("workflows.id"), nullable=False, index=True),
)

plans = sa.Table(
    "plans",
    metadata,
    sa.Column("workflow_id", sa.Text, sa.ForeignKey("workflows.id"), primary_key=True),
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("document", Document, nullable=False),
)

executions = sa.Table(
    "executions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workflow_id", sa.Text, sa.ForeignKey("workflows.id"), nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),  # the drive that owns it: the fence
    sa.Column("enqueued", sa.Integer, nullable=False),  # the newest drive that was put into the queue
    sa.Column("enqueued_at", Moment, nullable=False),
    sa.Column("owner", sa.Text),  # the replica that drives it; NULL: nobody does
    sa.Column("seq", sa.Integer, nullable=False),  # the newest journal entry
    sa.Column("plan_hash", sa.Text),
    sa.Column("actions_total", sa.Integer, nullable=False),
    sa.Column("actions_ended", sa.Integer, nullable=False),
    sa.Column("current_action", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("cause", Words, nullable=False),
    sa.Column("rollback", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("updated_at", Moment, nullable=False),
    sa.Column("started_at", Moment),
    sa.Column("must_end_by", Moment),
    sa.Column("wake_at", Moment),  # it stands still until then, or until a command; NULL: it does not
    sa.Column("ended_at", Moment, index=True),
    # The newest `domain.formats.FORMAT` that has driven it; a replica of a lower one leaves it alone.
    sa.Column("format", sa.Integer, nullable=False, default=FORMAT, server_default="1"),
    sa.Column("undos", Document),  # once a rollback is over: how many of its steps ended how
    sa.Index(
        "executions_active_idx",
        "owner",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    ),
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("execution_id", sa.Text, primary_key=True),  # no foreign key: the fenced update proves it, at no cost
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", Document, nullable=False),
)

target_locks = sa.Table(
    "target_locks",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("execution_id", sa.Text, index=True),  # NULL: it is free, and kept for those that wait; no foreign key
    sa.Column("awaited", sa.Boolean, nullable=False),  # somebody waits for it, or did
)

target_waits = sa.Table(
    "target_waits",
    metadata,
    sa.Column("execution_id", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True, index=True),
    sa.Column("urgent", sa.Boolean, nullable=False),  # it is at work already
)

replicas = sa.Table(
    "replicas",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),  # epoch seconds of the database's clock
)

catalogues = sa.Table(
    "catalogues",
    metadata,
    sa.Column("cluster", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("stored_at", Moment, nullable=False),
    sa.Column("document", Document, nullable=False),
)

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("workflow_id", sa.Text, sa.ForeignKey("workflows.id"), nullable=False, index=True),
    sa.Column("execution_id", sa.Text, nullable=False),
    sa.Column("verb", sa.Text, nullable=False),
    sa.Column("actor", Words, nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Column("arguments", Document, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("outcome", sa.Text),  # NULL: not answered yet; applied | refused
    sa.Column("why", Words),
    sa.Column("answered_at", Moment),
    sa.Index(
        "commands_unanswered_idx",
        "execution_id",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    ),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # part of the key itself, and no secret
    sa.Column("name", sa.Text, nullable=False),  # the identity; keys that follow each other share it
    sa.Column("digest", sa.Text, nullable=False),  # SHA-256 of the whole key, in hex
    sa.Column("rights", Document, nullable=False),
    sa.Column("namespaces", Document),  # NULL: all
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("revoked_at", Moment),
    sa.Column("used_at", Moment),  # lately; noted once in a while
)
