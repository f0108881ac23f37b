"""A connection of PostgreSQL that is kept for one kind of statement, each of which is a transaction of its own."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from workflow_service.store.database import translated


class Line:
    """One connection, taken when it is first needed, and anew after anything went wrong on it. For one task only."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._held: AsyncConnection | None = None

    async def fetch(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows of a statement, which is committed when this returns: one round trip for all of it.

        Raises:
            StoreUnavailable: the database is away, or nobody knows whether it has committed.
            DBAPIError: the database refused the statement.
        """

        def run(connection: sa.Connection) -> list[tuple[Any, ...]]:
            rows = [tuple(row) for row in connection.exec_driver_sql(statement, values)]
            connection.commit()  # nothing is sent: the database has committed when it answered
            return rows

        with translated():
            try:
                if self._held is None:
                    self._held = await self._engine.connect()
                    await self._held.execution_options(isolation_level="AUTOCOMMIT")
                return await self._held.run_sync(run)
            except BaseException:  # a cancelled task, too: what the connection is about to answer is not known
                await self._drop()
                raise

    async def close(self) -> None:
        """Give the connection back."""
        held, self._held = self._held, None
        if held is not None:
            await held.close()

    async def _drop(self) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        try:
            await held.invalidate()
            await held.close()
        except SQLAlchemyError:
            pass  # it was broken already
