"""Keys by which a request that is sent again gets the answer of the first one."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("begun_at", Moment(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", sa.Text()),
        sa.Column("body", sa.LargeBinary()),
    )
    op.create_index("idempotency_keys_begun_at_idx", "idempotency_keys", ["begun_at"])


def downgrade() -> None:
    op.drop_table("idempotency_keys")
