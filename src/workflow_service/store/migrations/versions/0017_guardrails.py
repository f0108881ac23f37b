"""What guardrails count, and what people declare: changes, halts, latches and overrides."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("execution_id", sa.Text(), primary_key=True),
        sa.Column("step", sa.Text(), primary_key=True),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
    )
    op.create_index("changes_cluster_at_idx", "changes", ["cluster", "at"])
    op.create_index("changes_target_at_idx", "changes", ["target", "at"])
    op.create_table(
        "halts",
        sa.Column("namespace", sa.Text(), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
    )
    op.create_table(
        "latches",
        sa.Column("environment", sa.Text(), primary_key=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("latched_at", Moment(), nullable=False),
        sa.Column("reset_at", Moment()),
        sa.Column("reset_by", sa.Text()),
    )
    op.create_table(
        "overrides",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("ended_by", sa.Text()),
    )
    op.create_index("overrides_expires_at_idx", "overrides", ["expires_at"])


def downgrade() -> None:
    for table in ("overrides", "latches", "halts", "changes"):
        op.drop_table(table)
