"""The one outbound HTTP session of the process: connection pool, TLS trust, connect timeout."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp

# Below the 15 s that servers like ours keep an idle connection, so that we rarely write into one being closed.
_KEEP_ALIVE_SECONDS = 10.0


class SharedSession:
    """Made lazily inside the running loop, shared by all clients, closed once by whoever composed it.

    Follows no proxy variables and keeps no cookies. `ca_bundle` replaces the system's trust anchors.
    """

    def __init__(self, *, ca_bundle: Path | None = None) -> None:
        self._ca_bundle = ca_bundle
        self._session: aiohttp.ClientSession | None = None

    def get(self) -> aiohttp.ClientSession:
        """The session; call it inside the event loop that uses it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=ssl.create_default_context(cafile=str(self._ca_bundle)) if self._ca_bundle else True,
                    # The engine bounds how many calls run; a pool bound would make a call wait where its timeout
                    # reads like an unreachable host.
                    limit=0,
                    keepalive_timeout=_KEEP_ALIVE_SECONDS,
                    ttl_dns_cache=10,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Uncompressed answers: their size on the wire is their size in memory.
                headers={"Accept-Encoding": "identity", "User-Agent": "workflow-service"},
            )
        return self._session

    async def close(self) -> None:
        """Drop all connections; calls in flight end as if the peer had cut them."""
        if self._session is not None:
            await self._session.close()
