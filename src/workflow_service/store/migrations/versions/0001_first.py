"""The first schema."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Document, Moment, Words

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "catalogues",
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("stored_at", Moment(timezone=True), nullable=False),
        sa.Column("document", Document(), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name=op.f("catalogues_pkey")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("received_at", Moment(timezone=True), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
    )
    op.create_index(op.f("deliveries_received_at_idx"), "deliveries", ["received_at"], unique=False)
    op.create_table(
        "journal",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("at", Moment(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", Document(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "seq", name=op.f("journal_pkey")),
    )
    op.create_table(
        "replicas",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("started_at", Moment(timezone=True), nullable=False),
        sa.Column("heartbeat", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("replicas_pkey")),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("received_at", Moment(timezone=True), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("document", Document(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_reason", sa.Text(), nullable=True),
        sa.Column("workflow_id", sa.Text(), nullable=True),
        sa.Column("decided_at", Moment(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("alerts_delivery_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("alerts_pkey")),
    )
    op.create_index(op.f("alerts_delivery_id_idx"), "alerts", ["delivery_id"], unique=False)
    op.create_index(
        "alerts_undecided_idx",
        "alerts",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "workflows",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("alert_name", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=True),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("created_at", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=op.f("workflows_alert_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("workflows_pkey")),
    )
    op.create_index("workflows_created_at_id_idx", "workflows", ["created_at", "id"], unique=False)
    op.create_index(op.f("workflows_alert_id_idx"), "workflows", ["alert_id"], unique=False)
    op.create_table(
        "active_identities",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("active_identities_workflow_id_fkey")),
        sa.PrimaryKeyConstraint("identity", name=op.f("active_identities_pkey")),
    )
    op.create_index(op.f("active_identities_workflow_id_idx"), "active_identities", ["workflow_id"], unique=False)
    op.create_table(
        "executions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("enqueued", sa.Integer(), nullable=False),
        sa.Column("enqueued_at", Moment(timezone=True), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("plan_hash", sa.Text(), nullable=True),
        sa.Column("actions_total", sa.Integer(), nullable=False),
        sa.Column("actions_ended", sa.Integer(), nullable=False),
        sa.Column("current_action", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cause", Words(), nullable=False),
        sa.Column("rollback", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(timezone=True), nullable=False),
        sa.Column("updated_at", Moment(timezone=True), nullable=False),
        sa.Column("started_at", Moment(timezone=True), nullable=True),
        sa.Column("must_end_by", Moment(timezone=True), nullable=True),
        sa.Column("ended_at", Moment(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("executions_workflow_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("executions_pkey")),
    )
    op.create_index(
        "executions_active_idx",
        "executions",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(op.f("executions_workflow_id_idx"), "executions", ["workflow_id"], unique=False)
    op.create_index(op.f("executions_ended_at_idx"), "executions", ["ended_at"], unique=False)
    op.create_table(
        "identities",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("identities_workflow_id_fkey")),
        sa.PrimaryKeyConstraint("identity", "workflow_id", name=op.f("identities_pkey")),
    )
    op.create_index(op.f("identities_workflow_id_idx"), "identities", ["workflow_id"], unique=False)
    op.create_table(
        "plans",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(timezone=True), nullable=False),
        sa.Column("document", Document(), nullable=False),
        sa.ForeignKeyConstraint(["workflow_id"], ["workflows.id"], name=op.f("plans_workflow_id_fkey")),
        sa.PrimaryKeyConstraint("workflow_id", "hash", name=op.f("plans_pkey")),
    )


def downgrade() -> None:
    op.drop_table("plans")
    op.drop_index(op.f("identities_workflow_id_idx"), table_name="identities")
    op.drop_table("identities")
    op.drop_index(op.f("executions_ended_at_idx"), table_name="executions")
    op.drop_index(op.f("executions_workflow_id_idx"), table_name="executions")
    op.drop_index(
        "executions_active_idx",
        table_name="executions",
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_table("executions")
    op.drop_index(op.f("active_identities_workflow_id_idx"), table_name="active_identities")
    op.drop_table("active_identities")
    op.drop_index(op.f("workflows_alert_id_idx"), table_name="workflows")
    op.drop_index("workflows_created_at_id_idx", table_name="workflows")
    op.drop_table("workflows")
    op.drop_index(
        "alerts_undecided_idx",
        table_name="alerts",
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_index(op.f("alerts_delivery_id_idx"), table_name="alerts")
    op.drop_table("alerts")
    op.drop_table("replicas")
    op.drop_table("journal")
    op.drop_index(op.f("deliveries_received_at_idx"), table_name="deliveries")
    op.drop_table("deliveries")
    op.drop_table("catalogues")
