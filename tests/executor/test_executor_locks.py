"""Object locks: one action at a time, and objects in doubt belong to their action first."""

import asyncio

import pytest

from executor_service.actions.locks import ObjectLocks
from executor_service.contract import ActionFailedError, ErrorClass, ObjectRef

REF = ObjectRef("Deployment", "a", "b")


async def test_an_object_in_doubt_takes_no_other_action_first() -> None:
    """Reserved for its action: others are refused, the owner may go on, and then the object is free."""
    locks = ObjectLocks()
    locks.reserve(REF, "doubtful")
    with pytest.raises(ActionFailedError) as caught:
        async with locks.hold(REF, "other", patience=0.02):
            pass
    assert (caught.value.error_class, caught.value.refused) == (ErrorClass.CONFLICT, True)
    async with locks.hold(REF, "doubtful", patience=0.02):
        pass
    async with locks.hold(REF, "other", patience=0.02):
        pass


async def test_whoever_waits_gets_the_object_when_it_is_free() -> None:
    """Order of release, not of luck; other objects are not affected."""
    locks = ObjectLocks()
    entered: list[str] = []

    async def enter(owner: str) -> None:
        async with locks.hold(REF, owner, patience=5):
            entered.append(owner)

    async with locks.hold(REF, "first", patience=5):
        waiting = asyncio.create_task(enter("second"))
        async with locks.hold(ObjectRef("Deployment", "a", "c"), "third", patience=0.02):
            pass
        await asyncio.sleep(0)
        assert entered == []
    await waiting
    assert entered == ["second"]


async def test_an_ended_action_holds_nothing() -> None:
    """What was reserved for it is free for others."""
    locks = ObjectLocks()
    locks.reserve(REF, "ended")
    await locks.release_all("ended")
    async with locks.hold(REF, "other", patience=0.02):
        pass
