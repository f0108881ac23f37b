"""A circuit breaker before an advisor: five questions in a row without an answer, and none is asked for 30 s.

What counts as no answer is silence, 5xx and 429. A refused answer is an answer: its server is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from workflow_service.domain.breaker import Breaker, BreakerState
from workflow_service.domain.errors import AdvisorAway

log = structlog.get_logger(__name__)


class Circuit:
    """The breaker of one advisor. `on_change` is told every state that it moves to."""

    def __init__(self, *, on_change: Callable[[BreakerState], None], clock: Callable[[], float]) -> None:
        self._on_change, self._clock = on_change, clock
        self._breaker = Breaker()

    @property
    def state(self) -> BreakerState:
        """Where it stands."""
        return self._breaker.state

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Around one question with all its attempts; a TimeoutError or a silent `AdvisorAway` out of it is a failure.

        Raises:
            AdvisorAway: it is open, and this is not the probe.
        """
        if not self._breaker.admits(self._clock()):
            raise AdvisorAway("circuit_open", "it has not answered for a while: its circuit breaker is open")
        probe = self.state is BreakerState.OPEN
        if probe:
            self._move(self._breaker.probing())
        try:
            yield
        except TimeoutError:
            self._move(self._breaker.failed(self._clock(), probe=probe))
            raise
        except AdvisorAway as away:
            moved = self._breaker.failed(self._clock(), probe=probe) if away.silent else self._breaker.answered()
            self._move(moved)
            raise
        except BaseException:
            if probe:
                self._move(self._breaker.abandoned())
            raise
        self._move(self._breaker.answered())

    def _move(self, breaker: Breaker) -> None:
        before, self._breaker = self.state, breaker
        if breaker.state is not before:
            log.warning("circuit breaker moved", downstream="advisor", state=breaker.state, before=before)
            self._on_change(breaker.state)
