"""The table of reports to advisors: what came of their advice, and whether they were told."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.store.columns import Document, Moment, Words
from workflow_service.store.metadata import metadata

advice_reports = sa.Table(
    "advice_reports",
    metadata,
    sa.Column("execution_id", sa.Text, primary_key=True),  # no foreign key: it may be forgotten before
    sa.Column("at", Moment, nullable=False, index=True),
    sa.Column("document", Document, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_at", Moment, index=True),  # NULL: nobody is to be told any more
    sa.Column("trouble", Words),  # why nobody was
)
