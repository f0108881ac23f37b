"""How DBOS's threads connect: patiently while the engine runs, not at all once it is over."""

from __future__ import annotations

import threading
from typing import Any

import sqlalchemy as sa
import structlog

RECONNECT = 0.5  # seconds between tries while the database is away

log = structlog.get_logger(__name__)


class EngineIsOver(Exception):
    """Nothing that DBOS would try again."""


class Connecting:
    """Takes over how `engine` connects.

    DBOS answers a connection that fails with pauses that grow up to a minute and a half, for ever, in threads that the
    interpreter waits for at its exit. After an outage it would start nothing for as long again, and during one the
    process could not end. So a thread waits here for the database, and is let go when the engine stops.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._patient = self._over = False
        self._changed = threading.Event()
        sa.event.listen(engine, "do_connect", self._connect)

    def be_patient(self) -> None:
        """From now on wait for a database that is away; until now that was an error."""
        self._patient = True

    def be_impatient(self) -> None:
        """Let go of those who wait; from now on a database that is away is an error again."""
        self._patient = False
        self._changed.set()

    def be_over(self) -> None:
        """Connect no more."""
        self._over = True

    def _connect(self, dialect: Any, _record: object, arguments: Any, parameters: Any) -> Any:
        told = False
        while not self._over:
            try:
                return dialect.connect(*arguments, **parameters)
            except dialect.loaded_dbapi.OperationalError as error:
                if not self._patient:
                    raise
                if not told:
                    log.warning("the durable queue waits for the database", error=str(error))
                told = True
                self._changed.wait(RECONNECT)
        raise EngineIsOver("the engine is stopped")
