"""The tables of the guardrails: what they count, and what people declare."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.store.columns import Document, Moment, Words
from workflow_service.store.metadata import metadata

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("execution_id", sa.Text, primary_key=True),  # no foreign key: it is forgotten by its age
    sa.Column("step", sa.Text, primary_key=True),  # a retry of it is no other change
    sa.Column("at", Moment, nullable=False),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),  # empty: none, as of a node
    sa.Column("target", sa.Text, nullable=False),  # the identity of who decides about it; empty: it names nothing
    sa.Column("action", sa.Text, nullable=False),
    sa.Index("changes_cluster_at_idx", "cluster", "at"),
    sa.Index("changes_target_at_idx", "target", "at"),
)

halts = sa.Table(
    "halts",
    metadata,
    sa.Column("namespace", sa.Text, primary_key=True),  # empty: everywhere
    sa.Column("reason", Words, nullable=False),
    sa.Column("created_by", Words, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
)

latches = sa.Table(
    "latches",
    metadata,
    sa.Column("environment", sa.Text, primary_key=True),
    sa.Column("why", Words, nullable=False),
    sa.Column("latched_at", Moment, nullable=False),
    sa.Column("reset_at", Moment),  # NULL: nobody has yet; what ended before counts no more
    sa.Column("reset_by", Words),
)

overrides = sa.Table(
    "overrides",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("rules", Document, nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),  # a glob
    sa.Column("workflow_id", sa.Text),  # NULL: any
    sa.Column("reason", Words, nullable=False),
    sa.Column("created_by", Words, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False, index=True),
    sa.Column("ended_by", Words),  # before its time
)
