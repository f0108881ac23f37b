"""Which replica answers a request with a key: when it is gone, so is the request."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("replica", sa.Text()))


def downgrade() -> None:
    op.drop_column("idempotency_keys", "replica")
