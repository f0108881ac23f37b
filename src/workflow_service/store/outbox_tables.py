"""The table of the outbox: what people are to be told, one row for each channel over which they are."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.store.columns import Document, Moment, Words
from workflow_service.store.metadata import metadata

letters = sa.Table(
    "letters",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # by which its receiver knows a repeat
    sa.Column("channel", sa.Text, nullable=False),  # empty: none is configured
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("line", sa.Text),  # of one line the oldest goes first; NULL: it waits for no other
    sa.Column("workflow_id", sa.Text, sa.ForeignKey("workflows.id"), index=True),  # NULL: it is about the service
    sa.Column("execution_id", sa.Text),
    sa.Column("step", sa.Text, nullable=False),  # empty: it is about no step
    sa.Column("namespace", sa.Text),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("document", Document, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # pending | delivered | given_up | obsolete | unaddressed
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_at", Moment),  # of the next try; NULL: there is none
    sa.Column("give_up_at", Moment),  # NULL: never
    sa.Column("settled_at", Moment),
    sa.Column("trouble", Words),  # why the last try has failed
    sa.Index("letters_at_id_idx", "at", "id"),
    sa.Index(
        "letters_due_at_idx",
        "due_at",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    ),
)
