"""Who changes which target, and who waits for one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "target_locks",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=True),
        sa.Column("awaited", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("target", name=op.f("target_locks_pkey")),
    )
    op.create_index(op.f("target_locks_execution_id_idx"), "target_locks", ["execution_id"], unique=False)
    op.create_table(
        "target_waits",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "target", name=op.f("target_waits_pkey")),
    )
    op.create_index(op.f("target_waits_target_idx"), "target_waits", ["target"], unique=False)


def downgrade() -> None:
    op.drop_table("target_waits")
    op.drop_table("target_locks")
