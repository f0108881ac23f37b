"""The outbox: what people are to be told."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "letters",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("line", sa.Text()),
        sa.Column("workflow_id", sa.Text(), sa.ForeignKey("workflows.id")),
        sa.Column("execution_id", sa.Text()),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text()),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment()),
        sa.Column("give_up_at", Moment()),
        sa.Column("settled_at", Moment()),
        sa.Column("trouble", sa.Text()),
    )
    op.create_index("letters_at_id_idx", "letters", ["at", "id"])
    op.create_index("letters_workflow_id_idx", "letters", ["workflow_id"])
    due = sa.text("due_at IS NOT NULL")
    op.create_index("letters_due_at_idx", "letters", ["due_at"], sqlite_where=due, postgresql_where=due)


def downgrade() -> None:
    op.drop_table("letters")
