"""How often each may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.access.rates import REMEMBERED, Rates


def test_a_burst_and_then_the_rate() -> None:
    """The burst is given at once, then one per period; what is refused tells when to come again, and costs nothing."""
    rates = Rates(per_second=10, burst=5)
    assert [rates.take("a", 100.0).left for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = rates.take("a", 100.0)
    assert (refused.given, refused.left) == (False, 0)
    assert refused.next_in == pytest.approx(0.1)
    assert refused.whole_in == pytest.approx(0.5)
    assert not rates.take("a", 100.099).given
    assert rates.take("a", 100.1).given
    assert not rates.take("a", 100.1).given


def test_names_have_accounts_of_their_own() -> None:
    """One who has used up everything slows nobody else down."""
    rates = Rates(per_second=1, burst=1)
    assert rates.take("a", 0.0).given
    assert not rates.take("a", 0.0).given
    assert rates.take("b", 0.0).given


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_never_more_than_burst_and_rate(pauses: list[float]) -> None:
    """In any time there is given at most the burst, and the rate times that time."""
    rates, now, given = Rates(per_second=10, burst=4), 0.0, 0
    for pause in pauses:
        now += pause
        given += rates.take("a", now).given
    assert given <= 4 + now * 10 + 1e-6


def test_memory_is_bounded() -> None:
    """However many names come, no more than a bounded number is remembered."""
    rates = Rates(per_second=0.001, burst=1)
    for number in range(REMEMBERED + 50):
        rates.take(str(number), 0.0)
    assert len(rates._paid_at) == REMEMBERED
    assert not rates.take(str(REMEMBERED + 49), 0.0).given
