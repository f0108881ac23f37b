"""When an execution that stands still is to be looked at again."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("wake_at", Moment(timezone=True), nullable=True))
    op.execute("UPDATE executions SET wake_at = must_end_by WHERE status = 'paused'")


def downgrade() -> None:
    op.drop_column("executions", "wake_at")
