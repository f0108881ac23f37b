"""Workflows that wait for somebody to start them; and what became of each step that a rollback covered."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Document

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("waits_for_start", sa.Boolean(), nullable=True))
    op.add_column("executions", sa.Column("undos", Document(), nullable=True))


def downgrade() -> None:
    op.drop_column("executions", "undos")
    op.drop_column("alerts", "waits_for_start")
