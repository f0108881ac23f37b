"""The audit: every write a client asked for, also refused and dry-run ones; never the controllers' own."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from executor_service.sandbox.objects import Object


@dataclass(frozen=True, slots=True)
class Write:
    """One write request and how it ended. `code` is the answer's, also when the answer was never sent."""

    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str
    user_agent: str
    field_manager: str
    dry_run: bool
    code: int
    patch_type: str
    body: Any


class Audit:
    """Numbers the writes, keeps them, and appends them to a file as JSON lines."""

    def __init__(self, now: Callable[[], str], path: Path | None) -> None:
        self._now = now
        self._file = path.open("ab", buffering=0) if path is not None else None
        self._writes: list[Object] = []
        self._seq = 0

    def record(self, write: Write) -> None:
        """Keep one write; it is in the file before the client has its answer."""
        self._seq += 1
        entry = {"seq": self._seq, "time": self._now(), **asdict(write)}
        self._writes.append(entry)
        if self._file is not None:
            self._file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def writes(self) -> list[Object]:
        """All writes since the start or the last reset, oldest first."""
        return list(self._writes)

    def clear(self) -> None:
        """Forget the writes; numbers go on and the file keeps its lines."""
        self._writes.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
