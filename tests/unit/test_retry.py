"""Whether and when a known failure is tried again."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import T0, at
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import RetryPolicy
from workflow_service.domain.retry import retry_at
from workflow_service.domain.step_rules import MAX_FACTOR, MAX_RETRIES, MAX_SECONDS

FAR = T0 + timedelta(days=2)


def asked(policy: RetryPolicy, *, attempt: int = 0, jitter: float = 0.0, before: datetime = FAR) -> datetime | None:
    """When a transient failure at T0 is tried again."""
    return retry_at(policy, error=ErrorClass.TRANSIENT, attempt=attempt, now=T0, jitter=jitter, before=before)


@pytest.mark.requirement("BR-WF-014")
@pytest.mark.parametrize("error", ErrorClass)
def test_only_transient_and_throttled_are_retried_by_default(error: ErrorClass) -> None:
    """The default policy retries what may go away by itself, and nothing else."""
    again = retry_at(RetryPolicy(), error=error, attempt=0, now=T0, jitter=0.0, before=FAR)
    assert (again is not None) == (error in {ErrorClass.TRANSIENT, ErrorClass.THROTTLED})


@pytest.mark.requirement("BR-WF-014")
def test_a_policy_chooses_the_classes_it_retries() -> None:
    """A step may retry a class that the default does not."""
    policy = RetryPolicy(retry_on=(ErrorClass.CONFLICT,))
    assert retry_at(policy, error=ErrorClass.CONFLICT, attempt=0, now=T0, jitter=0.0, before=FAR) is not None
    assert asked(policy) is None


@pytest.mark.requirement("BR-WF-014")
def test_retries_are_counted() -> None:
    """Three retries: attempts 0, 1 and 2 are followed by another one, attempt 3 is not; with none not even 0 is."""
    assert [asked(RetryPolicy(max_retries=3), attempt=number) is not None for number in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert asked(RetryPolicy(max_retries=0)) is None


@pytest.mark.requirement("BR-WF-014")
def test_delays_grow_up_to_their_bound() -> None:
    """Without jitter: half of 1, 2, 4 ... seconds, never over half of the bound."""
    policy = RetryPolicy(max_retries=9, first_delay=1, factor=2, max_delay=30)
    assert [asked(policy, attempt=n) for n in range(7)] == [at(s) for s in (0.5, 1, 2, 4, 8, 15, 15)]


def test_jitter_spreads_over_the_upper_half() -> None:
    """A delay of 8 s comes between 4 and 8 s."""
    policy = RetryPolicy(first_delay=8, max_delay=8)
    assert [asked(policy, jitter=jitter) for jitter in (0.0, 0.5, 0.75)] == [at(4), at(6), at(7)]


def test_nothing_is_retried_that_could_not_start_in_time() -> None:
    """A retry at the bound or after it is given up at once."""
    policy = RetryPolicy(first_delay=8)
    assert asked(policy, before=at(4)) is None
    assert asked(policy, before=at(4.001)) == at(4)


bounded = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, MAX_RETRIES),
    first_delay=st.floats(0, MAX_SECONDS),
    factor=st.floats(1, MAX_FACTOR),
    max_delay=st.floats(0, MAX_SECONDS),
    retry_on=st.just((ErrorClass.TRANSIENT,)),
)


@given(bounded, st.integers(0, MAX_RETRIES), st.floats(0, 1, exclude_max=True))
def test_every_sound_policy_has_an_answer(policy: RetryPolicy, attempt: int, jitter: float) -> None:
    """Within the limits of a plan: a time between now and the longest delay, or none when the retries are used up."""
    again = asked(policy, attempt=attempt, jitter=jitter)
    if attempt >= policy.max_retries:
        assert again is None
    else:
        assert again is not None
        assert T0 <= again <= T0 + timedelta(seconds=policy.max_delay)
