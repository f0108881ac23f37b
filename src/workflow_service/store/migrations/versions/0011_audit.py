"""The log of writes, each row chained to the one before."""

import sqlalchemy as sa
from alembic import op

from workflow_service.domain.audit import NOTHING
from workflow_service.store.tables import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", Moment(timezone=True), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("audit_log_pkey")),
        sa.UniqueConstraint("id", name=op.f("audit_log_id_key")),
    )
    chain = op.create_table(
        "audit_chain",
        sa.Column("end", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("end", name=op.f("audit_chain_pkey")),
    )
    op.bulk_insert(chain, [{"end": end, "seq": NOTHING.seq, "hash": NOTHING.hash} for end in ("head", "floor")])


def downgrade() -> None:
    op.drop_table("audit_chain")
    op.drop_table("audit_log")
