"""Versions of templates, and what was ordered of them by hand."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "templates",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("version", sa.Text(), primary_key=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("kept_at", Moment(), nullable=False),
    )
    op.add_column("alerts", sa.Column("ordered", sa.Text()))


def downgrade() -> None:
    op.drop_column("alerts", "ordered")
    op.drop_table("templates")
