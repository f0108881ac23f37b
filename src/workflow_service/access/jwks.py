"""The issuer's signing keys (RFC 7517), kept for a while, and longer while the issuer does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from workflow_service.domain.errors import ProviderAway

FRESH = 600.0  # seconds after which they are fetched again
INTERVAL = 30.0  # seconds between fetches, whatever unknown keys tokens name
AGAIN = 5.0  # seconds between fetches while the issuer does not answer
MOST = 50  # keys that one issuer may have

Jwk = Mapping[str, Any]

log = structlog.get_logger(__name__)


class Jwks:
    """Knows an issuer's keys. `fetch` brings the `keys` of its document, or raises ProviderAway."""

    def __init__(self, fetch: Callable[[], Awaitable[Sequence[Jwk]]], *, monotonic: Callable[[], float]) -> None:
        self._fetch, self._monotonic = fetch, monotonic
        self._keys: tuple[Jwk, ...] | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._away = False
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, kid: str | None) -> Jwk | None:
        """The signing key of that id; without an id the only one there is; None: there is none such.

        Raises:
            ProviderAway: the key is not known, and the issuer does not answer.
        """
        now = self._monotonic()
        if self._keys is None or now - self._fetched_at >= FRESH:
            await self._refresh()
        found = self._find(kid)
        if found is None:
            await self._refresh()
            found = self._find(kid)
        if found is None and (self._keys is None or self._away):
            raise ProviderAway("the issuer of tokens does not answer")
        return found

    def _find(self, kid: str | None) -> Jwk | None:
        keys = self._keys or ()
        fitting = keys if kid is None else [key for key in keys if key.get("kid") == kid]
        return fitting[0] if len(fitting) == 1 else None

    async def _refresh(self) -> None:
        pause = AGAIN if self._away else INTERVAL
        if self._fetching is None and self._monotonic() - self._tried_at >= pause:
            self._tried_at = self._monotonic()
            self._fetching = asyncio.create_task(self._get())
        if self._fetching is not None:
            await asyncio.shield(self._fetching)

    async def _get(self) -> None:
        try:
            found = await self._fetch()
        except ProviderAway as error:
            log.warning("the issuer's keys cannot be had; those that are known are kept", error=str(error))
            self._away = True
            return
        finally:
            self._fetching = None
        signing = [key for key in found if key.get("use", "sig") == "sig"]
        self._keys, self._away, self._fetched_at = tuple(signing[:MOST]), False, self._monotonic()
