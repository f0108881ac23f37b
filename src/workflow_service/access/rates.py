"""How often each may: a generic cell rate algorithm (as ATM's, ITU-T I.371) per name, in memory, per replica."""

from __future__ import annotations

from dataclasses import dataclass

REMEMBERED = 10_000  # names; beyond that those with nothing on their account are forgotten


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether it may be done now, how often more at once, and seconds until the next and until all of it is back."""

    given: bool
    left: int
    next_in: float
    whole_in: float


class Rates:
    """`per_second` lastingly, `burst` at once, for each name. Not shared: every replica allows that much."""

    def __init__(self, per_second: float, burst: int) -> None:
        self.burst = burst
        self._cost, self._room = 1.0 / per_second, burst / per_second
        self._paid_at: dict[str, float] = {}  # when each name's account is empty again

    @property
    def window(self) -> float:
        """Seconds in which a whole burst comes back."""
        return self._room

    def take(self, name: str, now: float) -> Allowance:
        """Ask to do it once; `now` is monotonic, in seconds. What is not given costs nothing."""
        paid_at = max(self._paid_at.get(name, now), now) + self._cost
        owed = paid_at - now
        given = owed <= self._room * (1 + 1e-9)
        if given:
            self._paid_at[name] = paid_at
            self._forget(now)
        else:
            owed -= self._cost
        left = int((self._room - owed) / self._cost + 1e-6)
        return Allowance(given, left, 0.0 if left else owed + self._cost - self._room, owed)

    def _forget(self, now: float) -> None:
        if len(self._paid_at) > REMEMBERED:
            self._paid_at = {name: paid_at for name, paid_at in self._paid_at.items() if paid_at > now}
            while len(self._paid_at) > REMEMBERED:  # all of them owe: the oldest is let off
                del self._paid_at[next(iter(self._paid_at))]
