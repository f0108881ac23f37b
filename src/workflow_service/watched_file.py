"""A file that may change while we run, as Kubernetes changes what is mounted: whether it has, at little cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

EVERY = 1.0  # seconds between looks at a file


class WatchedFile:
    """One file; it is looked at when somebody asks, once a second at most."""

    def __init__(self, path: Path, *, read: bool = True, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`read`: what is in it now is known already, or will be in a moment."""
        self._path, self._monotonic = path, monotonic
        self._stamp = _stamp(path) if read else None
        self._looked_at = float("-inf")

    def changed(self) -> bool:
        """Whether it must be read again; said once of every change."""
        now = self._monotonic()
        if now - self._looked_at < EVERY:
            return False
        self._looked_at = now
        before, self._stamp = self._stamp, _stamp(self._path)
        return self._stamp != before


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
