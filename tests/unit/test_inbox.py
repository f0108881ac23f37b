"""A replica takes upon itself what it can hold, and says so before it has taken more."""

from __future__ import annotations

import pytest

from workflow_service.intake.inbox import Full, Inbox
from workflow_service.right_of_way import RightOfWay

pytestmark = [pytest.mark.requirement("BR-WF-001")]


def test_as_many_deliveries_as_may_be() -> None:
    """One more is refused until one is done, however it ends."""
    inbox = Inbox(RightOfWay(), most=2)
    with inbox.place():
        with inbox.place(), pytest.raises(Full, match="2 deliveries"), inbox.place():
            pass
        assert inbox.pending == 1
        with pytest.raises(KeyError), inbox.place():
            raise KeyError
        with inbox.place():
            assert inbox.pending == 2
    assert inbox.pending == 0


def test_as_many_bytes_as_may_be() -> None:
    """Bodies are weighed as they come; what was refused or is done weighs nothing."""
    inbox = Inbox(RightOfWay(), most=9, most_bytes=10)
    with inbox.load() as first:
        first.add(6)
        with inbox.load() as second:
            second.add(4)
            with pytest.raises(Full, match="10 bytes"):
                second.add(1)
    with inbox.load() as third:
        third.add(10)
