"""The tables, prefixed so that they can share a database with others. Times are seconds since the epoch."""

from sqlalchemy import JSON, Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

facts = Table(
    "executor_facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

actions = Table(
    "executor_actions",
    metadata,
    Column("key", String(256), primary_key=True),
    Column("action_id", String(36), nullable=False, unique=True),
    Column("fingerprint", String(64), nullable=False),
    Column("type", String(128), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("request", JSON, nullable=False),
    Column("status", String(16), nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("message", Text, nullable=False),
    Column("progress", Text),
    Column("result", JSON, nullable=False),
    Column("changes", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("created_at", Double, nullable=False),
    Column("deadline_at", Double, nullable=False),
    Column("finished_at", Double),
    Index("executor_actions_by_status", "status"),
    Index("executor_actions_by_end", "finished_at"),
)

intents = Table(
    "executor_intents",
    metadata,
    Column("key", ForeignKey("executor_actions.key", ondelete="CASCADE"), primary_key=True),
    Column("slot", String(256), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("effect", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("snapshot", JSON(none_as_null=True)),
    Column("planned_at", Double, nullable=False),
    Column("undone_by", String(256)),
    Index("executor_intents_by_state", "state"),
)
