"""Alerts that workflows seem to have caused."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "caused_alerts",
        sa.Column("workflow_id", sa.Text(), sa.ForeignKey("workflows.id"), primary_key=True),
        sa.Column("fingerprint", sa.Text(), primary_key=True),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("starts_at", Moment(), nullable=False),
        sa.Column("noted_at", Moment(), nullable=False),
        sa.Column("over_at", Moment()),
    )
    op.create_index("caused_alerts_fingerprint_idx", "caused_alerts", ["fingerprint"])
    op.add_column("executions", sa.Column("caused_at", Moment()))


def downgrade() -> None:
    op.drop_column("executions", "caused_at")
    op.drop_table("caused_alerts")
