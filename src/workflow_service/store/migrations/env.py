"""Alembic's entry: migrate on the connection and in the transaction that the caller brings."""

from alembic import context

from workflow_service.store.migrations import VERSION_TABLE
from workflow_service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
