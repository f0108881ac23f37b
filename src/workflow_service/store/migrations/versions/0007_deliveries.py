"""How a delivery is to be read again, which it repeats, and what of it is quarantined."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Document

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("form", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("headers", Document(), nullable=True))
    op.add_column("deliveries", sa.Column("size", sa.Integer(), nullable=True))
    op.add_column("deliveries", sa.Column("origin", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("quarantined", sa.Integer(), nullable=True))
    op.add_column("deliveries", sa.Column("flaws", Document(), nullable=True))
    op.add_column("deliveries", sa.Column("unreadable", sa.Boolean(), nullable=True))
    op.create_index(
        "deliveries_quarantined_idx",
        "deliveries",
        ["received_at", "id"],
        unique=False,
        sqlite_where=sa.text("quarantined > 0"),
        postgresql_where=sa.text("quarantined > 0"),
    )


def downgrade() -> None:
    op.drop_index(
        "deliveries_quarantined_idx",
        table_name="deliveries",
        sqlite_where=sa.text("quarantined > 0"),
        postgresql_where=sa.text("quarantined > 0"),
    )
    for name in ("unreadable", "flaws", "quarantined", "origin", "size", "headers", "form"):
        op.drop_column("deliveries", name)
