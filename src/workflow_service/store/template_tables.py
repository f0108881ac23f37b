"""The table of templates: every version that was ever loaded, so that plans can name what they were made from."""

from __future__ import annotations

import sqlalchemy as sa

from workflow_service.store.columns import Moment
from workflow_service.store.metadata import metadata

templates = sa.Table(
    "templates",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("kept_at", Moment, nullable=False),
)
