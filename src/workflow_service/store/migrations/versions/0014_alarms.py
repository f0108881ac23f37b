"""Alarms about the service itself."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("raised", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
    )
    op.create_table(
        "alarm_messages",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment()),
        sa.Column("trouble", sa.Text()),
    )
    op.create_index("alarm_messages_at_idx", "alarm_messages", ["at"])


def downgrade() -> None:
    op.drop_table("alarm_messages")
    op.drop_table("alarms")
