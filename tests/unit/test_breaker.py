"""The circuit breaker's states, held against a plain account of what a breaker is for."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from workflow_service.domain.breaker import Breaker, BreakerState


def opened() -> Breaker:
    """A breaker that opened at 100 s."""
    breaker = Breaker()
    for _ in range(5):
        breaker = breaker.failed(100.0, probe=False)
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    """The fifth one does; an answer in between begins the count anew."""
    breaker = Breaker()
    for _ in range(4):
        breaker = breaker.failed(0.0, probe=False)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.answered().failed(0.0, probe=False).state is BreakerState.CLOSED
    assert breaker.failed(0.0, probe=False).state is BreakerState.OPEN


def test_thirty_seconds_then_one_probe() -> None:
    """Nothing goes for 30 s, then one call, and nobody beside it; its success closes, its failure opens for 30 s."""
    breaker = opened()
    assert not breaker.admits(129.9)
    assert breaker.admits(130.0)
    probing = breaker.probing()
    assert not probing.admits(1000.0)
    assert probing.answered() == Breaker(probe_at=130.0)
    again = probing.failed(140.0, probe=True)
    assert (again.admits(169.9), again.admits(170.0)) == (False, True)


def test_what_was_on_its_way_does_not_lengthen_the_pause() -> None:
    """Calls sent before the opening, and questions that pass it, may fail as they like."""
    breaker = opened()
    assert breaker.failed(120.0, probe=False) == breaker
    probing = breaker.probing()
    assert probing.failed(131.0, probe=False) == probing


def test_a_probe_that_nobody_waits_for_is_repeated() -> None:
    """When the probe's caller goes away the next call may be the probe at once."""
    breaker = opened().probing().abandoned()
    assert breaker.state is BreakerState.OPEN
    assert breaker.admits(130.0)
    assert Breaker().abandoned() == Breaker()


class Account(RuleBasedStateMachine):
    """Callers come, go, fail and are answered in any order. The account knows only what they lived through."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.silences, self.probe_out = 0.0, 0, False
        self.opened_at: float | None = None

    @initialize(limit=st.integers(1, 6), pause=st.floats(0.1, 100.0))
    def begin(self, limit: int, pause: float) -> None:
        """Any limit, any pause."""
        self.breaker = Breaker(limit=limit, pause=pause)

    @rule(seconds=st.floats(0.0, 60.0))
    def time_passes(self, seconds: float) -> None:
        """It does."""
        self.now += seconds

    @rule()
    def a_call_wants_to_go(self) -> None:
        """It goes when the account says that it may, and only then."""
        if self.opened_at is None:
            assert self.breaker.admits(self.now), "a closed breaker refused a call"
            return
        due = not self.probe_out and self.now >= self.opened_at + self.breaker.pause
        assert self.breaker.admits(self.now) == due
        if due:
            self.breaker, self.probe_out = self.breaker.probing(), True

    @rule()
    def somebody_is_answered(self) -> None:
        """The probe, a question, or a call from before."""
        self.breaker = self.breaker.answered()
        self.silences, self.opened_at, self.probe_out = 0, None, False

    @rule()
    def somebody_is_not_answered(self) -> None:
        """A call, or a question that passes."""
        self.breaker = self.breaker.failed(self.now, probe=False)
        self.silences += 1
        if self.opened_at is None and self.silences >= self.breaker.limit:
            self.opened_at = self.now

    @precondition(lambda self: self.probe_out)
    @rule()
    def the_probe_is_not_answered(self) -> None:
        """The pause begins anew."""
        self.breaker = self.breaker.failed(self.now, probe=True)
        self.opened_at, self.probe_out = self.now, False

    @precondition(lambda self: self.probe_out)
    @rule()
    def the_probe_is_given_up(self) -> None:
        """Its caller went away."""
        self.breaker, self.probe_out = self.breaker.abandoned(), False

    @invariant()
    def states_agree(self) -> None:
        """The state says what the account says."""
        if not hasattr(self, "breaker"):
            return
        expected = BreakerState.CLOSED
        if self.opened_at is not None:
            expected = BreakerState.HALF_OPEN if self.probe_out else BreakerState.OPEN
        assert self.breaker.state is expected


TestAccount = Account.TestCase
TestAccount.__doc__ = "Whatever callers live through, the breaker does what the account of it says."
