"""Every table of ours. DBOS keeps its own beside them; their names are reserved.

Times are UTC. Documents are JSON in TEXT, not JSONB: what an alert or an executor sends may hold an escaped NUL, which
JSONB refuses, and no query looks inside.
"""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.domain.formats import FORMAT
from workflow_service.store.alarm_tables import alarm_messages, alarms
from workflow_service.store.caller_tables import api_keys, audit_chain, audit_log, idempotency_keys
from workflow_service.store.columns import Document, Moment, Words, visible
from workflow_service.store.evidence_tables import caused_alerts
from workflow_service.store.guard_tables import changes, halts, latches, overrides
from workflow_service.store.metadata import metadata
from workflow_service.store.outbox_tables import letters
from workflow_service.store.report_tables import advice_reports
from workflow_service.store.template_tables import templates

# Beside the tables of this module, which need no word.
__all__ = ["Document", "Moment", "Words", "metadata", "visible"]
__all__ += ["advice_reports", "alarm_messages", "alarms", "api_keys", "audit_chain", "audit_log", "caused_alerts"]
__all__ += ["changes", "halts", "idempotency_keys", "latches", "letters", "overrides", "templates"]


deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("received_at", Moment, nullable=False, index=True),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("source", sa.Text),
    sa.Column("request_id", sa.Text),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("form", sa.Text),  # how the body is to be read; NULL: as its route says
    sa.Column("headers", Document),  # those that belong to what is in the body
    sa.Column("size", sa.Integer),  # bytes that came; of what cannot be read only the beginning is kept
    sa.Column("origin", sa.Text),  # the delivery that this one repeats
    sa.Column("quarantined", sa.Integer),  # alerts in it that cannot be understood; 1 when it is the delivery itself
    sa.Column("flaws", Document),  # which they are, and why
    sa.Column("unreadable", sa.Boolean),  # no alert can be told in it at all
    sa.Index(
        "deliveries_quarantined_idx",
        "received_at",
        "id",
        sqlite_where=sa.text("quarantined > 0"),
        postgresql_where=sa.text("quarantined > 0"),
    ),
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("delivery_id", sa.Text, sa.ForeignKey("deliveries.id"), nullable=False, index=True),
    sa.Column("received_at", Moment, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text),
    sa.Column("own", sa.Text),  # cluster, namespace and fingerprint (`About.own`), once it is decided
    sa.Column("document", Document, nullable=False),
    sa.Column("outcome", sa.Text),  # NULL: not decided yet
    sa.Column("outcome_reason", sa.Text),
    sa.Column("workflow_id", sa.Text, index=True),
    sa.Column("decided_at", Moment),
    sa.Column("speaks_of", Moment),  # its start; its end, if it has resolved; NULL: it says neither
    sa.Column("resolved", sa.Boolean),  # it says that what it is about is over; NULL: it does not
    sa.Column("tracked", sa.Boolean),  # its source tells when it has resolved; NULL: it does not
    sa.Column("reconsider_at", Moment),  # when it is to be decided about again, if it has not resolved by then
    sa.Column("traceparent", sa.Text),  # the span in which it came (W3C Trace Context); NULL: nobody knows
    sa.Column("tracestate", sa.Text),
    sa.Column("trace", Document),  # every rule that was asked about it, what it saw and what it decided
    sa.Index(
        "alerts_reconsider_at_idx",
        "reconsider_at",
        sqlite_where=sa.text("reconsider_at IS NOT NULL"),
        postgresql_where=sa.text("reconsider_at IS NOT NULL"),
    ),
    sa.Index("alerts_fingerprint_received_at_idx", "fingerprint", "received_at"),
    sa.Column("ordered", Document),  # the template that somebody wants to be run, with its parameters; NULL: none
    sa.Column("waits_for_start", sa.Boolean),  # its workflow begins only when somebody starts it; NULL: by itself
    sa.Index(
        "alerts_undecided_idx",
        "received_at",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    ),
)

silences = sa.Table(
    "silences",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # silence | maintenance
    sa.Column("match", Words, nullable=False),
    sa.Column("namespaces", Document),  # for alerts in which it holds; NULL: in all
    sa.Column("starts_at", Moment, nullable=False),
    sa.Column("ends_at", Moment, nullable=False, index=True),
    sa.Column("weekly", Document),
    sa.Column("comment", Words, nullable=False),
    sa.Column("created_by", Words, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("ended_by", Words),  # before its time
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
    sa.Column("cluster", sa.Text),  # NULL: made before there was more than one
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
    sa.Column("resolved_at", Moment),  # what its alerts are about is over, and its owner has not heard of it yet
    sa.Column("caused_at", Moment),  # there is news of alerts that it seems to have caused; NULL: its owner knows
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
