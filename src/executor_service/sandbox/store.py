"""The objects of the cluster: one version counter, one history per resource, one notification per change."""

import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from executor_service.sandbox.errors import expired, from_the_future
from executor_service.sandbox.kinds import KINDS
from executor_service.sandbox.objects import Object, clone, meta, name_of, namespace_of, timestamp

_FIRST_VERSION = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `before` is None for ADDED; `after` is the last state for DELETED."""

    type: str
    plural: str
    version: int
    before: Object | None
    after: Object


class Store:
    """Objects by resource, namespace and name, with the history that watches read."""

    def __init__(self, clock: Callable[[], datetime], *, history: int = 2000) -> None:
        self.version = _FIRST_VERSION
        self._clock = clock
        self._objects: dict[str, dict[str, dict[str, Object]]] = {kind.plural: {} for kind in KINDS}
        self._history: dict[str, deque[Change]] = {kind.plural: deque() for kind in KINDS}
        self._forgotten: dict[str, int] = dict.fromkeys(self._history, 0)
        self._limit = history
        self._listeners: list[Callable[[Change], None]] = []

    def now(self) -> str:
        """The cluster's time as the API writes it."""
        return timestamp(self._clock())

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        """The object, or None. Never change what this returns."""
        return self._objects[plural].get(namespace, {}).get(name)

    def objects(self, plural: str, namespace: str = "") -> list[Object]:
        """The objects of one namespace (all when empty), ordered by namespace and name."""
        homes = self._objects[plural]
        chosen = [homes.get(namespace, {})] if namespace else [home for _, home in sorted(homes.items())]
        return [obj for home in chosen for _, obj in sorted(home.items())]

    def put(self, plural: str, obj: Object) -> Object:
        """Store a new state; gives it identity, time of birth and the next version. Returns what was stored."""
        home = self._objects[plural].setdefault(namespace_of(obj), {})
        before = home.get(name_of(obj))
        fresh = clone(obj)
        metadata = meta(fresh)
        if before is None:
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", self.now())
        metadata["resourceVersion"] = str(self._next())
        home[name_of(obj)] = fresh
        self._publish(Change("ADDED" if before is None else "MODIFIED", plural, self.version, before, fresh))
        return fresh

    def remove(self, plural: str, namespace: str, name: str) -> Object | None:
        """Take the object away; its last state carries the version of the removal. None when it is not there."""
        before = self._objects[plural].get(namespace, {}).pop(name, None)
        if before is None:
            return None
        last = {**before, "metadata": {**meta(before), "resourceVersion": str(self._next())}}
        self._publish(Change("DELETED", plural, self.version, before, last))
        return last

    def changes_after(self, plural: str, version: int) -> list[Change]:
        """Every change of a resource after `version`, oldest first.

        Raises ApiError 410 when that history is gone and 504 when the version was never reached.
        """
        if version > self.version:
            raise from_the_future(version, self.version)
        if version < self._forgotten[plural]:
            raise expired(version, self._forgotten[plural])
        recent: list[Change] = []
        for change in reversed(self._history[plural]):
            if change.version <= version:
                break
            recent.append(change)
        return recent[::-1]

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` after every change; returns the function that stops it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def forget(self) -> None:
        """Drop all objects and history; versions go on, so every older watch is told to list again."""
        self._next()
        for plural, objects in self._objects.items():
            objects.clear()
            self._history[plural].clear()
            self._forgotten[plural] = self.version

    def _next(self) -> int:
        self.version += 1
        return self.version

    def _publish(self, change: Change) -> None:
        history = self._history[change.plural]
        history.append(change)
        if len(history) > self._limit:
            self._forgotten[change.plural] = history.popleft().version
        for listener in tuple(self._listeners):
            listener(change)
