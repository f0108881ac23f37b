"""A circuit breaker as a value: failures in a row open it, after a pause one probe may go, its success closes it. Pure.

Source of the states and of the single probe: Nygard, "Release It!" (2nd edition), Circuit Breaker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"  # one probe is under way
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """One downstream's breaker. Times are seconds of a monotonic clock that the caller reads."""

    limit: int = 5  # failures in a row that open it
    pause: float = 30.0  # seconds from the opening, or from a failed probe, to the next probe
    state: BreakerState = BreakerState.CLOSED
    failures: int = 0  # in a row, while closed
    probe_at: float = 0.0  # once it has opened: from when on the next probe may go

    def admits(self, now: float) -> bool:
        """Whether a call may go now; while open, only as the probe."""
        if self.state is BreakerState.OPEN:
            return now >= self.probe_at
        return self.state is BreakerState.CLOSED

    def probing(self) -> Breaker:
        """A call that was admitted while open goes out: nobody else does until it is back."""
        return replace(self, state=BreakerState.HALF_OPEN)

    def answered(self) -> Breaker:
        """The downstream has answered somebody, be it with a refusal: it is there."""
        return replace(self, state=BreakerState.CLOSED, failures=0)

    def failed(self, now: float, *, probe: bool) -> Breaker:
        """A call brought no answer. What was sent before the opening, or past it, says nothing new."""
        if self.state is BreakerState.CLOSED:
            failures = self.failures + 1
            return self._opened(now) if failures >= self.limit else replace(self, failures=failures)
        return self._opened(now) if probe else self

    def abandoned(self) -> Breaker:
        """Whoever sent the probe does not wait for its answer any more: the next call may be the probe."""
        return replace(self, state=BreakerState.OPEN) if self.state is BreakerState.HALF_OPEN else self

    def _opened(self, now: float) -> Breaker:
        return replace(self, state=BreakerState.OPEN, failures=0, probe_at=now + self.pause)
