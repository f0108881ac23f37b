"""The tables of alarms about this service itself: where each stands."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.store.columns import Document, Moment, Words
from workflow_service.store.metadata import metadata

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("raised", sa.Boolean, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # of its newest change
    sa.Column("since", Moment, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),  # when what is expected came last, or when the wait for it began
)

# Written by nobody any more: what it was for is in `letters`. A replica of the version before, which is being replaced,
# still looks here.
alarm_messages = sa.Table(
    "alarm_messages",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("document", Document, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_at", Moment),
    sa.Column("trouble", Words),
)
