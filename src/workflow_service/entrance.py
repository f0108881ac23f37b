"""Builds what stands between the port and the routes: who is asked who they are, and how. A part of the composition."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from workflow_service.access.audit_log import AuditLog
from workflow_service.access.authenticator import Authenticator
from workflow_service.access.keyring import Keyring
from workflow_service.access.rates import Rates
from workflow_service.api.gate import Access
from workflow_service.engine.housekeeping import Chore
from workflow_service.settings import Settings
from workflow_service.store import api_keys, audit, queries
from workflow_service.store.database import Database

KEYS_NOTED = 60.0  # seconds between notes of which keys were used
AUDIT_FORGOTTEN = 600.0  # seconds between looks for what the audit log need not remember any more
FAILURES_PER_SECOND, FAILURES_AT_ONCE = 1.0, 60  # from one address, before it gets 429 for 401


class Entrance:
    """One replica's gate and what it needs beside the requests."""

    def __init__(self, settings: Settings, database: Database, *, clock: Callable[[], datetime]) -> None:
        modes = settings.auth_mode or frozenset()
        self._database, self._clock = database, clock
        self._keys = Keyring(partial(api_keys.every, database), clock=clock, monotonic=time.monotonic)
        self.audit = AuditLog(partial(audit.append, database))
        self.access = Access(
            Authenticator(keys=self._keys if "keys" in modes else None) if modes else None,
            namespace_of=partial(queries.namespace_of, database),
            rates=Rates(settings.access.rate_limit, settings.access.rate_burst),
            failures=Rates(FAILURES_PER_SECOND, FAILURES_AT_ONCE),
            audit=self.audit,
        )
        self._kept = timedelta(seconds=settings.retention.audit)

    def chores(self) -> Sequence[Chore]:
        """What is done again and again."""
        return [
            Chore("note keys", KEYS_NOTED, self._note_keys),
            Chore("forget audit", AUDIT_FORGOTTEN, self._forget_audit),
        ]

    async def _forget_audit(self) -> None:
        await audit.forget(self._database, written_before=self._clock() - self._kept)

    async def _note_keys(self) -> None:
        if used := self._keys.used():
            await api_keys.used(self._database, used, now=self._clock())
