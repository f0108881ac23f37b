"""The table of what speaks against workflows."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.store.columns import Moment, Words
from workflow_service.store.metadata import metadata

caused_alerts = sa.Table(
    "caused_alerts",
    metadata,
    sa.Column("workflow_id", sa.Text, sa.ForeignKey("workflows.id"), primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True, index=True),
    sa.Column("own", sa.Text),  # cluster, namespace and fingerprint; NULL: noted before that was kept
    sa.Column("alert_id", sa.Text, nullable=False),  # the first of them; no foreign key: it may be forgotten earlier
    sa.Column("name", Words, nullable=False),
    sa.Column("severity", Words, nullable=False),
    sa.Column("starts_at", Moment, nullable=False),
    sa.Column("noted_at", Moment, nullable=False),
    sa.Column("over_at", Moment),  # when it has resolved; NULL: it has not
)
