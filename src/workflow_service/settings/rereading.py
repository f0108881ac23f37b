"""Secrets that live in files, read again when their file changes: Kubernetes swaps mounted secrets while we run.

The file is looked at once a second at most, and only when the secret is asked for. A file that cannot be read, or holds
what the setting's rule refuses, changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from workflow_service.settings.load import rule_of
from workflow_service.settings.rules import Reader
from workflow_service.settings.tree import Settings

EVERY = 1.0  # seconds between looks at a file

log = structlog.get_logger(__name__)


class SecretFile:
    """What a file holds now; call it. None until it could be read for the first time, unless `first` is given."""

    def __init__(
        self, path: Path, read: Reader = str, *, first: Any = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._read, self._value, self._monotonic = path, read, first, monotonic
        self._stamp = _stamp(path) if first is not None else None
        self._looked_at = float("-inf")

    def __call__(self) -> Any:
        """The value."""
        now = self._monotonic()
        if now - self._looked_at >= EVERY:
            self._looked_at = now
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._reread()
        return self._value

    def _reread(self) -> None:
        try:
            self._value = self._read(self._path.read_text("utf-8").strip())
        except (OSError, ValueError) as error:  # the message of a rule holds no value
            log.warning("a secret's file cannot be used; what was known is kept", file=str(self._path), why=str(error))
            return
        log.info("a secret was read from its file", file=str(self._path))


def current(settings: Settings, path: str) -> Callable[[], Any]:
    """A function that gives the setting at `path` as it is now: as its file says, if it came from a `<NAME>_FILE`."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    origin = settings.origins.get(path)
    if origin is None or origin.file is None:
        return lambda: value
    return SecretFile(origin.file, rule_of(path).read, first=value)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
