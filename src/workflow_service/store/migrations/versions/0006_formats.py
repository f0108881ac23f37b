"""Which version's plans and journals an execution has, so that an older replica leaves it alone."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("executions", sa.Column("format", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("executions", "format")
