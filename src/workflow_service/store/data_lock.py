"""One process per data directory: what an embedded database needs instead of leases."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from workflow_service.domain.errors import WorkflowServiceError


class DataDirectoryTaken(WorkflowServiceError):
    """Another process works in this data directory."""


class DataLock:
    """An exclusive lock that the kernel drops with the process, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "workflow-service.lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DataDirectoryTaken: somebody else has it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise DataDirectoryTaken(
                f"DATA_DIR: {str(self._path.parent)!r} is in use by another workflow-service; "
                "SQLite serves one process, several need a PostgreSQL DATABASE_URL"
            ) from error

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            self._file.close()
