"""The audit of writes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "executor_audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("closed_at", sa.Double),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text),
        sa.Column("execution_id", sa.Text),
        sa.Column("step_id", sa.Text),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("slot", sa.String(256), nullable=False),
        sa.Column("action", sa.String(128), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("place", sa.Text),
        sa.Column("verb", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("namespace", sa.String(63)),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("message", sa.Text),
        sa.Column("rule", sa.String(64)),
        sqlite_autoincrement=True,
    )
    op.create_index("executor_audit_by_key", "executor_audit", ["key", "slot"])
    op.create_index("executor_audit_by_target", "executor_audit", ["action", "target", "at"])
    op.create_index("executor_audit_by_object", "executor_audit", ["namespace", "kind", "name", "seq"])
    op.create_index("executor_audit_by_time", "executor_audit", ["at"])


def downgrade() -> None:
    op.drop_table("executor_audit")
