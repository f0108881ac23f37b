"""The namespaces of alerts and silences, for callers that are limited to some."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("namespace", sa.Text()))
    op.add_column("silences", sa.Column("namespaces", sa.Text()))


def downgrade() -> None:
    op.drop_column("silences", "namespaces")
    op.drop_column("alerts", "namespace")
