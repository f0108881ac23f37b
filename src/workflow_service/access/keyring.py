"""The API keys as one replica knows them: all of them in memory, read again every few seconds while somebody calls.

There are some hundreds at most, so a request costs no round trip, a made-up key costs none either, and a new key works
at once: the first call with a key that is not known reads them again, though keys that nobody knows cannot do so often.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from workflow_service.access import api_key
from workflow_service.access.rates import Rates
from workflow_service.domain.permissions import Caller
from workflow_service.store.api_keys import ApiKey

STALE = 5.0  # seconds after which what is known is read again: a revocation takes effect within that time
UNKNOWN_PER_SECOND, UNKNOWN_AT_ONCE = 1.0, 10  # readings because of keys that nobody knows

_NO_DIGEST = "0" * 64  # compared with when the id is unknown, so that both take the same time


class Keyring:
    """Checks keys. `load` reads all of them; `monotonic` is in seconds."""

    def __init__(
        self,
        load: Callable[[], Awaitable[Sequence[ApiKey]]],
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._load, self._clock, self._monotonic = load, clock, monotonic
        self._known: dict[str, tuple[ApiKey, Caller]] = {}
        self._read_at = -STALE
        self._curiosity = Rates(UNKNOWN_PER_SECOND, UNKNOWN_AT_ONCE)
        self._reading: asyncio.Task[None] | None = None
        self._used: set[str] = set()

    async def caller(self, key: str) -> Caller | None:
        """Whose valid key this is; None: nobody's.

        Raises:
            StoreUnavailable: what is known is too old, and the database is away.
        """
        key_id = api_key.id_of(key)
        if key_id is None:
            return None
        arrived = self._monotonic()
        if arrived - self._read_at >= STALE:
            await self._read()
        # A reading that had begun when the key was made does not know it: one that began later is needed.
        while key_id not in self._known and self._read_at < arrived and self._curiosity.take("", arrived).given:
            await self._read()
        return self._check(key_id, key)

    def used(self) -> frozenset[str]:
        """The ids of the keys that opened something since this was last asked."""
        used, self._used = frozenset(self._used), set()
        return used

    def _check(self, key_id: str, key: str) -> Caller | None:
        found = self._known.get(key_id)
        if not hmac.compare_digest(api_key.digest(key), found[0].digest if found else _NO_DIGEST) or found is None:
            return None
        if found[0].expires_at is not None and found[0].expires_at <= self._clock():
            return None
        self._used.add(key_id)
        return found[1]

    async def _read(self) -> None:
        """Read them, once for all who ask meanwhile; whoever hangs up stops nobody's reading."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._fetch())
        await asyncio.shield(self._reading)

    async def _fetch(self) -> None:
        asked = self._monotonic()
        try:
            rows = await self._load()
        finally:
            self._reading = None
        self._known = {row.id: (row, Caller(f"key:{row.name}", row.grants)) for row in rows if row.revoked_at is None}
        self._read_at = asked
