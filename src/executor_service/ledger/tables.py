"""The tables, prefixed so that they can share a database with others. Times are seconds since the epoch."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

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

audit = Table(
    "executor_audit",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Double, nullable=False),
    Column("closed_at", Double),
    Column("caller", Text, nullable=False),
    Column("workflow_id", Text),
    Column("execution_id", Text),
    Column("step_id", Text),
    Column("key", String(256), nullable=False),
    Column("slot", String(256), nullable=False),
    Column("action", String(128), nullable=False),
    Column("target", Text, nullable=False),
    Column("place", Text),
    Column("verb", String(16), nullable=False),
    Column("kind", String(63), nullable=False),
    Column("namespace", String(63)),
    Column("name", String(253), nullable=False),
    Column("changes", JSON, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("message", Text),
    Column("rule", String(64)),
    Index("executor_audit_by_key", "key", "slot"),
    Index("executor_audit_by_target", "action", "target", "at"),
    Index("executor_audit_by_object", "namespace", "kind", "name", "seq"),
    Index("executor_audit_by_time", "at"),
    sqlite_autoincrement=True,
)
