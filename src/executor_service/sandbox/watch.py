"""Watch streams: changes after a version, in and out of a selector, with bookmarks and an end."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from executor_service.sandbox.errors import ApiError
from executor_service.sandbox.objects import Object
from executor_service.sandbox.reads import Filter, whole_number
from executor_service.sandbox.store import Change, Store

_LONGEST_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Watch:
    """What one client watches. `version` 0 means: first everything there is, as ADDED."""

    wanted: Filter
    version: int
    bookmarks: bool
    seconds: int


def read_watch(wanted: Filter, query: dict[str, str]) -> Watch:
    """The watch of a request. Raises ApiError 400."""
    return Watch(
        wanted=wanted,
        version=whole_number(query, "resourceVersion"),
        bookmarks=query.get("allowWatchBookmarks") in ("true", "1"),
        seconds=min(whole_number(query, "timeoutSeconds") or _LONGEST_SECONDS, _LONGEST_SECONDS),
    )


async def events(store: Store, watch: Watch, closing: asyncio.Event) -> AsyncGenerator[Object]:
    """Watch events until the time is over or the server closes; a lost history is an ERROR event, then the end."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + watch.seconds
    changed = asyncio.Event()
    stop_listening = store.listen(lambda _: changed.set())
    try:
        version = watch.version or store.version
        for event in _present(store, watch):
            yield event
        while not closing.is_set() and loop.time() < deadline:
            changed.clear()
            for change in store.changes_after(watch.wanted.kind.plural, version):
                version = change.version
                for event in _seen(change, watch.wanted):
                    yield event
            await _either(changed, closing, deadline - loop.time())
        if watch.bookmarks:
            yield _bookmark(watch, store.version)
    except ApiError as problem:
        yield {"type": "ERROR", "object": problem.status}
    finally:
        stop_listening()


def _present(store: Store, watch: Watch) -> list[Object]:
    """What a watch without a version begins with."""
    if watch.version:
        return []
    objects = store.objects(watch.wanted.kind.plural, watch.wanted.namespace)
    return [{"type": "ADDED", "object": obj} for obj in objects if watch.wanted.accepts(obj)]


def _seen(change: Change, wanted: Filter) -> list[Object]:
    """The change as this watcher sees it, if it does: leaving the selector is DELETED, entering it is ADDED."""
    before = change.before is not None and wanted.accepts(change.before)
    after = change.type != "DELETED" and wanted.accepts(change.after)
    if not before and not after:
        return []
    kind = "MODIFIED" if before and after else ("ADDED" if after else "DELETED")
    return [{"type": kind, "object": change.after}]


def _bookmark(watch: Watch, version: int) -> Object:
    kind = watch.wanted.kind
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return {"type": "BOOKMARK", "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}}


async def _either(one: asyncio.Event, other: asyncio.Event, seconds: float) -> None:
    waiters = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waiters, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
