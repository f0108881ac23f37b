"""How many executions end badly: when too many do, something larger is wrong, and trying other ways would harm."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# Upstream's BR-WF-541: fewer than one in ten, and a warning before that.
LIMIT = 0.10
WARNING = 0.08
WINDOW = timedelta(hours=24)
LEAST = 20  # executions; one failure of three says nothing


@dataclass(frozen=True, slots=True)
class Termination:
    """Executions that ended within the last `WINDOW`, those apart that a person ended."""

    ended: int
    badly: int  # failed or timed out

    @property
    def rate(self) -> float | None:
        """The share that ended badly; None: too few have ended for it to say anything."""
        return self.badly / self.ended if self.ended >= LEAST else None

    @property
    def too_many(self) -> bool:
        """Whether nothing more is to be tried."""
        return self.rate is not None and self.rate > LIMIT

    @property
    def alarming(self) -> bool:
        """Whether somebody should know."""
        return self.rate is not None and self.rate >= WARNING

    def __str__(self) -> str:
        hours = WINDOW.total_seconds() / 3600
        return f"{self.badly} of {self.ended} executions of the last {hours:g} h ended badly; {LIMIT:.0%} is the most"
