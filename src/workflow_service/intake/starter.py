"""Beginning executions where they are admitted: what intake asks of this replica's drives."""

from __future__ import annotations

from typing import Protocol, Self

from workflow_service.store.executions import Record


class Starter(Protocol):
    """Begins executions on the replica that admits them, as long as it has slots: who need not wait does not queue."""

    def reserve(self, execution_id: str) -> str | None:
        """Take a slot for an execution that is about to be stored; the owner to store with it, None without a slot."""
        ...

    def begin(self, record: Record) -> None:
        """Drive a reserved execution that is stored now, as its owner's and claimed for its first drive."""
        ...

    def let_go(self, execution_id: str) -> None:
        """A reserved execution was not stored, or nobody knows whether it was."""
        ...


class Starts:
    """The starts of the executions that one transaction admits; on the way out what was reserved in vain is let go."""

    def __init__(self, starter: Starter | None) -> None:
        self._starter = starter
        self._reserved: list[Record] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._starter is not None:
            for record in self._reserved:
                self._starter.let_go(record.execution_id)

    def reserve(self, record: Record) -> str | None:
        """The owner with which to store this execution; None when it has to be enqueued."""
        owner = self._starter.reserve(record.execution_id) if self._starter is not None else None
        if owner is not None:
            self._reserved.append(record)
        return owner

    def stored(self) -> None:
        """The transaction is committed: begin what was reserved."""
        reserved, self._reserved = self._reserved, []
        for record in reserved:
            if self._starter is not None:
                self._starter.begin(record)
