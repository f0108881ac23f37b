"""The trace in which an alert came, which what is done about it belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("traceparent", sa.Text()))
    op.add_column("alerts", sa.Column("tracestate", sa.Text()))


def downgrade() -> None:
    op.drop_column("alerts", "tracestate")
    op.drop_column("alerts", "traceparent")
