"""Whose turn it is: priority, ageing, and that a turn fits the queue that keeps it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import T0, begun
from tests.unit.factories import a_graph as graph_of
from workflow_service.domain.alert import severity_rank
from workflow_service.domain.events import Inherited
from workflow_service.domain.queueing import AGEING, NOT_BEGUN, PARKED, QUEUE_BOUND, turn
from workflow_service.domain.states import ACTIVE_EXECUTION, Verb
from workflow_service.engine.handover import LANES, MANUAL, RUNNING, lane

moments = st.datetimes(datetime(2026, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


def test_of_those_who_came_together_the_urgent_go_first() -> None:
    """Critical before high before medium before unknown before low."""
    turns = [turn(severity_rank(word), T0) for word in ("critical", "high", "medium", "whatever", "low")]
    assert turns == sorted(set(turns))


@given(priority=st.integers(1, 9), better=st.integers(1, 9), since=moments)
def test_who_has_waited_long_goes_before_the_urgent(priority: int, better: int, since: datetime) -> None:
    """Each class of priority is worth `AGEING` seconds of waiting: nobody is passed for ever."""
    later = since + timedelta(seconds=max(0, priority - better) * AGEING + 1)
    assert turn(priority, since) < turn(better, later)


def test_the_lowest_is_never_passed_for_as_long_as_the_queue_may_last() -> None:
    """The worst priority overtakes the newest critical before its bound in the queue ends it."""
    assert timedelta(seconds=(9 - 1) * AGEING) < QUEUE_BOUND


@given(priority=st.integers(1, 9), since=st.datetimes(timezones=st.just(UTC)))
def test_a_turn_fits_the_queue(priority: int, since: datetime) -> None:
    """Whatever the clock says, it is a number that DBOS takes: 1 to 2**31 - 1."""
    assert 1 <= turn(priority, since) <= 2**31 - 1


def test_what_stands_still_has_begun_or_not() -> None:
    """Parked and not begun are disjoint parts of what is active."""
    assert not PARKED & NOT_BEGUN
    assert PARKED | NOT_BEGUN < ACTIVE_EXECUTION


@pytest.mark.parametrize("verb", [Verb.RETRY, Verb.ROLLBACK])
def test_work_by_hand_has_a_lane_of_its_own(verb: Verb) -> None:
    """A successor works in the lane for work by hand, also after it was handed on; what an alert began does not."""
    inherited = Inherited(T0, "exec-0", verb, "ana", "", "hash", {})
    assert lane((inherited,)) == MANUAL
    assert lane(begun(graph_of())) == lane(()) == RUNNING
    assert {MANUAL, RUNNING} == LANES
