"""What a replica knows of the API keys, and for how long."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from workflow_service.access import keyring
from workflow_service.access.issuing import Wish, issue
from workflow_service.access.keyring import Keyring
from workflow_service.domain.errors import Rejected, StoreUnavailable
from workflow_service.domain.permissions import Grant, Right
from workflow_service.store.api_keys import ApiKey

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Shelf:
    """A database of keys that counts how often it is read, with clocks that stand until they are moved."""

    def __init__(self) -> None:
        self.rows: list[ApiKey] = []
        self.reads, self.seconds, self.away = 0, 1000.0, False
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()
        self.ring = Keyring(self.load, clock=self.now, monotonic=lambda: self.seconds)

    def now(self) -> datetime:
        """The wall clock, which goes with the other."""
        return NOW + timedelta(seconds=self.seconds - 1000)

    async def load(self) -> list[ApiKey]:
        """All rows."""
        self.reads += 1
        found = list(self.rows)
        self.begun.set()
        await self.go_on.wait()
        if self.away:
            raise StoreUnavailable("away")
        return found

    def add(self, name: str = "ana", lifetime: timedelta | None = None) -> str:
        """A new key."""
        row, key = issue(Wish(name, [Right.OPERATOR], ["shop"], lifetime), now=NOW)
        self.rows.append(row)
        return key


async def test_no_reading_while_it_is_fresh() -> None:
    """Many calls with one key read once; the caller has the key's name, right and namespaces."""
    shelf = Shelf()
    key = shelf.add()
    callers = await asyncio.gather(*(shelf.ring.caller(key) for _ in range(50)))
    callers += [await shelf.ring.caller(key) for _ in range(50)]
    assert shelf.reads == 1
    assert {caller.name for caller in callers if caller} == {"key:ana"}
    assert callers[0] is not None
    assert callers[0].grants == (Grant(Right.OPERATOR, frozenset({"shop"})),)


async def test_a_revocation_is_known_in_time() -> None:
    """Until what is known is stale a revoked key may open; from then on it does not."""
    shelf = Shelf()
    key = shelf.add()
    assert await shelf.ring.caller(key)
    shelf.rows = [replace(shelf.rows[0], revoked_at=NOW)]
    shelf.seconds += keyring.STALE
    assert await shelf.ring.caller(key) is None


async def test_expiry_needs_no_reading() -> None:
    """A key that expires is nobody's from that very moment."""
    shelf = Shelf()
    key = shelf.add(lifetime=timedelta(seconds=1))
    assert await shelf.ring.caller(key)
    shelf.seconds += 1
    assert await shelf.ring.caller(key) is None
    assert shelf.reads == 1


async def test_a_new_key_works_at_once() -> None:
    """A key that is not known makes the keys be read again, but made-up ones only so often."""
    shelf = Shelf()
    assert await shelf.ring.caller(shelf.add())
    shelf.seconds += 0.001
    assert await shelf.ring.caller(shelf.add("bob"))
    shelf.seconds += 0.001
    made_up = [Shelf().add() for _ in range(100)]
    assert [await shelf.ring.caller(key) for key in made_up] == [None] * 100
    assert shelf.reads <= 2 + keyring.UNKNOWN_AT_ONCE
    shelf.seconds += 1
    assert await shelf.ring.caller(shelf.add("eve"))


async def test_a_key_that_is_made_while_the_keys_are_read() -> None:
    """Whoever comes with it joins a reading that does not know it yet, and waits for one that does."""
    shelf = Shelf()
    shelf.go_on.clear()
    first = asyncio.create_task(shelf.ring.caller(shelf.add()))
    await shelf.begun.wait()
    shelf.seconds += 0.001
    second = asyncio.create_task(shelf.ring.caller(shelf.add("bob")))
    await asyncio.sleep(0)
    shelf.go_on.set()
    assert await first
    assert await second


async def test_another_secret_with_the_same_id() -> None:
    """The id alone opens nothing."""
    shelf = Shelf()
    key = shelf.add()
    assert await shelf.ring.caller(key[:-3] + ("xyz" if not key.endswith("xyz") else "abc")) is None
    assert await shelf.ring.caller(key)
    assert shelf.ring.used() == {shelf.rows[0].id}
    assert shelf.ring.used() == frozenset()


async def test_the_database_is_away() -> None:
    """What is fresh still holds; what is stale is not guessed, and the database is asked again next time."""
    shelf = Shelf()
    key = shelf.add()
    assert await shelf.ring.caller(key)
    shelf.away = True
    assert await shelf.ring.caller(key)
    shelf.seconds += keyring.STALE
    with pytest.raises(StoreUnavailable):
        await shelf.ring.caller(key)
    shelf.away = False
    assert await shelf.ring.caller(key)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (Wish("", [Right.VIEWER]), "name"),
        (Wish("a b", [Right.VIEWER]), "name"),
        (Wish("x" * 197, [Right.VIEWER]), "name"),
        (Wish("a", [Right.VIEWER], ["Shop"]), "namespace"),
        (Wish("a", [Right.VIEWER], [""]), "namespace"),
    ],
)
def test_wishes_that_cannot_be(wish: Wish, field: str) -> None:
    """A name or a namespace that is none is refused, naming it."""
    with pytest.raises(Rejected) as caught:
        issue(wish, now=NOW)
    assert [one.field for one in caught.value.violations] == [field]
