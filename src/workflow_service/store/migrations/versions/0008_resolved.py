"""Alerts that say that it is over, that are decided about again, and why; executions whose owners are to hear."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("resolved", sa.Boolean()))
    op.add_column("alerts", sa.Column("tracked", sa.Boolean()))
    op.add_column("alerts", sa.Column("reconsider_at", Moment()))
    op.add_column("alerts", sa.Column("trace", sa.Text()))
    op.create_index("alerts_workflow_id_idx", "alerts", ["workflow_id"])
    op.create_index("alerts_fingerprint_received_at_idx", "alerts", ["fingerprint", "received_at"])
    op.create_index(
        "alerts_reconsider_at_idx",
        "alerts",
        ["reconsider_at"],
        sqlite_where=sa.text("reconsider_at IS NOT NULL"),
        postgresql_where=sa.text("reconsider_at IS NOT NULL"),
    )
    op.add_column("workflows", sa.Column("cluster", sa.Text()))
    op.add_column("executions", sa.Column("resolved_at", Moment()))


def downgrade() -> None:
    op.drop_column("executions", "resolved_at")
    op.drop_column("workflows", "cluster")
    for name in ("alerts_reconsider_at_idx", "alerts_fingerprint_received_at_idx", "alerts_workflow_id_idx"):
        op.drop_index(name, "alerts")
    for name in ("trace", "reconsider_at", "tracked", "resolved"):
        op.drop_column("alerts", name)
