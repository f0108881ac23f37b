"""Whose an alert is: a fingerprint alone does not tell."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("own", sa.Text()))
    op.add_column("caused_alerts", sa.Column("own", sa.Text()))


def downgrade() -> None:
    op.drop_column("caused_alerts", "own")
    op.drop_column("alerts", "own")
