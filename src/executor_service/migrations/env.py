"""Alembic's entry: runs on the connection that `ledger.database` hands over, in its transaction."""

from alembic import context

from executor_service.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="executor_alembic_version",
    render_as_batch=True,
)
context.run_migrations()
