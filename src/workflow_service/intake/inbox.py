"""How much a replica takes upon itself at once: deliveries that are being stored or decided, and the bytes they hold.

Beyond a number of alerts that all replicas together have stored and not decided, it takes nothing.

More is refused before anything of it is stored, with an error on which senders repeat (503): Alertmanager drops a
notification for good on every 4xx, 429 included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workflow_service.domain.errors import StoreUnavailable
from workflow_service.right_of_way import RightOfWay

MAX_BYTES = 128 * 1024 * 1024  # of bodies in memory


class Full(StoreUnavailable):
    """Nothing was stored; the caller may try again."""


class Load:
    """The bytes of one delivery, as they come."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox, self.size = inbox, 0

    def add(self, size: int) -> None:
        """So many more have come.

        Raises:
            Full: with them the replica would hold too many.
        """
        self._inbox.weigh(size)
        self.size += size


class Inbox:
    """One replica's bounds."""

    def __init__(
        self, way: RightOfWay, *, most: int, most_bytes: int = MAX_BYTES, most_undecided: int | None = None
    ) -> None:
        """`way`: what deliveries have until they are decided.

        `most_undecided`: alerts in the database that wait for their decision; None: any number.
        """
        self._way, self.most_undecided = way, most_undecided
        self._most, self._most_bytes = most, most_bytes
        self._pending, self._bytes = 0, 0
        self.undecided = 0  # as counted last

    @property
    def pending(self) -> int:
        """Deliveries that are being stored or decided."""
        return self._pending

    @contextmanager
    def place(self) -> Iterator[None]:
        """Room for one delivery until its alerts are decided.

        Raises:
            Full: there is none.
        """
        if self.most_undecided is not None and self.undecided > self.most_undecided:
            raise Full(f"more than {self.most_undecided} alerts wait for their decision, which is as many as may")
        if self._pending >= self._most:
            raise Full(f"{self._pending} deliveries are being stored or decided, which is as many as may be")
        self._pending += 1
        try:
            with self._way.taken():
                yield
        finally:
            self._pending -= 1

    @contextmanager
    def load(self) -> Iterator[Load]:
        """Room for the bytes of one delivery, until it is answered."""
        load = Load(self)
        try:
            yield load
        finally:
            self._bytes -= load.size

    def weigh(self, size: int) -> None:
        """Take so many bytes in.

        Raises:
            Full: it would be too many.
        """
        if self._bytes + size > self._most_bytes:
            raise Full(f"deliveries of {self._bytes} bytes are being taken in, which is as many as may be")
        self._bytes += size
