"""The ledger's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "executor_facts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "executor_actions",
        sa.Column("key", sa.String(256), primary_key=True),
        sa.Column("action_id", sa.String(36), nullable=False, unique=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("type", sa.String(128), nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("dry_run", sa.Boolean, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("progress", sa.Text),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("deadline_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
    )
    op.create_index("executor_actions_by_status", "executor_actions", ["status"])
    op.create_index("executor_actions_by_end", "executor_actions", ["finished_at"])
    op.create_table(
        "executor_intents",
        sa.Column("key", sa.String(256), sa.ForeignKey("executor_actions.key", ondelete="CASCADE"), primary_key=True),
        sa.Column("slot", sa.String(256), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("effect", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("snapshot", sa.JSON),
        sa.Column("planned_at", sa.Double, nullable=False),
        sa.Column("undone_by", sa.String(256)),
    )
    op.create_index("executor_intents_by_state", "executor_intents", ["state"])


def downgrade() -> None:
    op.drop_table("executor_intents")
    op.drop_table("executor_actions")
    op.drop_table("executor_facts")
