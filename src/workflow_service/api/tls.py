"""TLS on our own port: a certificate whose files may change while we serve, as cert-manager and kubelet change them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import structlog

EVERY = 1.0  # seconds between looks at the files

log = structlog.get_logger(__name__)

Stamp = tuple[tuple[int, int], ...]


class Certificate:
    """The chain and its key. Handshakes use what the files hold, or the last of it that could be used."""

    def __init__(self, chain: Path, key: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Load them.

        Raises:
            OSError: a file cannot be read, or the two do not belong together (ssl.SSLError).
        """
        self._chain, self._key, self._monotonic = chain, key, monotonic
        self._stamp, self._looked_at = self._stamped(), monotonic()
        self._now = self._load()
        self.context = self._load()
        self.context.sni_callback = self._choose

    def _choose(self, handshake: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Called by OpenSSL in every handshake, with or without a server name."""
        self._look()
        handshake.context = self._now

    def _look(self) -> None:
        now = self._monotonic()
        if now - self._looked_at < EVERY:
            return
        self._looked_at = now
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        try:
            self._now, self._stamp = self._load(), stamp
        except OSError as error:  # half of a change: the other file comes in a moment, so it is tried again
            log.warning("the certificate's files cannot be used; the last one is kept", why=str(error))
            return
        log.info("the certificate was read again", file=str(self._chain))

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._chain, self._key, password=lambda: b"")  # else OpenSSL asks the terminal for one
        return context

    def _stamped(self) -> Stamp:
        try:
            return tuple((found.st_mtime_ns, found.st_ino) for found in (self._chain.stat(), self._key.stat()))
        except OSError:
            return ()
