"""Who may change an object now: one action at a time, and after a crash first the one whose effect is in doubt."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from executor_service.contract import ActionFailedError, ErrorClass, ObjectRef


class ObjectLocks:
    """Exclusive, per object, owned by keys; entering again with the same key is allowed."""

    def __init__(self) -> None:
        self._owners: dict[ObjectRef, str] = {}
        self._freed = asyncio.Condition()

    def reserve(self, ref: ObjectRef, owner: str) -> None:
        """Give a free object to an owner, before anybody else runs (used at start, for effects in doubt)."""
        self._owners.setdefault(ref, owner)

    async def release_all(self, owner: str) -> None:
        """Free whatever the owner still holds."""
        async with self._freed:
            self._owners = {ref: held_by for ref, held_by in self._owners.items() if held_by != owner}
            self._freed.notify_all()

    @asynccontextmanager
    async def hold(self, ref: ObjectRef, owner: str, *, patience: float) -> AsyncIterator[None]:
        """Hold the object. Raises ActionFailedError (refused, conflict) when it is not free in `patience` seconds."""
        await self._take(ref, owner, patience)
        try:
            yield
        finally:
            async with self._freed:
                self._owners.pop(ref, None)
                self._freed.notify_all()

    async def _take(self, ref: ObjectRef, owner: str, patience: float) -> None:
        try:
            async with asyncio.timeout(max(patience, 0.0)), self._freed:
                await self._freed.wait_for(lambda: self._owners.get(ref, owner) == owner)
                self._owners[ref] = owner
        except TimeoutError:
            message = f"{ref} is being changed by the action with key {self._owners.get(ref)!r}"
            raise ActionFailedError(ErrorClass.CONFLICT, message, refused=True) from None
