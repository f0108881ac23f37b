"""Which episode of an alert a row is about."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("speaks_of", Moment()))


def downgrade() -> None:
    op.drop_column("alerts", "speaks_of")
