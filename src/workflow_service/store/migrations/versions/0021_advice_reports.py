"""Reports to advisors about what came of their advice."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "advice_reports",
        sa.Column("execution_id", sa.Text(), primary_key=True),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment()),
        sa.Column("trouble", sa.Text()),
    )
    op.create_index("advice_reports_at_idx", "advice_reports", ["at"])
    op.create_index("advice_reports_due_at_idx", "advice_reports", ["due_at"])


def downgrade() -> None:
    op.drop_table("advice_reports")
