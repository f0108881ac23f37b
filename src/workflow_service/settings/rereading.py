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
from workflow_service.watched_file import WatchedFile

log = structlog.get_logger(__name__)


class SecretFile:
    """What a file holds now; call it. None until it could be read for the first time, unless `first` is given."""

    def __init__(
        self, path: Path, read: Reader = str, *, first: Any = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._read, self._value = path, read, first
        self._file = WatchedFile(path, read=first is not None, monotonic=monotonic)

    def __call__(self) -> Any:
        """The value."""
        if self._file.changed():
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
