"""Every fault by name, and the seeded schedule: what happens when."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Disturbance(StrEnum):
    """What happens to a process or to the database. Only one of them happens at a time."""

    KILL_REPLICA = "kill -9 of a replica"
    KILL_EXECUTOR = "kill -9 of the executor"
    FREEZE_REPLICA = "replica frozen beyond its lease, thawed"
    DATABASE_FAST = "PostgreSQL restarted, fast"
    DATABASE_IMMEDIATE = "PostgreSQL restarted, immediate"
    LEDGER_LOST = "executor's ledger lost"
    ROW_DELETED = "engine row deleted"
    CLOCK_SKEW = "replica with a skewed clock"


class Mishap(StrEnum):
    """What becomes of one request that asks the executor for an effect."""

    ERROR_BEFORE = "executor answers 500, nothing done"
    ERROR_AFTER = "executor answers 500, effect done"
    HANG = "executor hangs"
    LATE_REQUEST = "request arrives after the timeout"
    LATE_ANSWER = "answer arrives after the timeout"
    CUT = "answer cut after the effect"
    TWICE = "request delivered twice"


Fault = Disturbance | Mishap

ROUND = 200  # alerts in which every disturbance happens once
BLOCK = 100  # requests in which every mishap happens as often as this:
SHARE = {
    Mishap.ERROR_BEFORE: 2,
    Mishap.ERROR_AFTER: 2,
    Mishap.HANG: 1,
    Mishap.LATE_REQUEST: 1,
    Mishap.LATE_ANSWER: 1,
    Mishap.CUT: 3,
    Mishap.TWICE: 3,
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A disturbance that begins once so many alerts were accepted."""

    after: int
    fault: Disturbance


def schedule(rng: Random, alerts: int, possible: list[Disturbance]) -> list[Planned]:
    """Every possible disturbance once per round, in random order, spread evenly over the alerts."""
    rounds = max(1, round(alerts / ROUND))
    faults: list[Disturbance] = []
    for _ in range(rounds):
        shuffled = list(possible)
        rng.shuffle(shuffled)
        faults += shuffled
    distance = alerts / (len(faults) + 1)
    return [Planned(int(distance * (index + rng.uniform(0.6, 1.4))), fault) for index, fault in enumerate(faults)]


def mishaps(rng: Random) -> Iterator[Mishap | None]:
    """For one request after the other what becomes of it; None: nothing."""
    dealt = [mishap for mishap, times in SHARE.items() for _ in range(times)]
    while True:
        block: list[Mishap | None] = [*dealt, *[None] * (BLOCK - len(dealt))]
        rng.shuffle(block)
        yield from block


@dataclass(slots=True)
class Tally:
    """What really happened: how often, to which executions, and what could not be done at all."""

    times: Counter[Fault] = field(default_factory=Counter)
    struck: dict[Fault, set[str]] = field(default_factory=lambda: defaultdict(set))
    skipped: dict[Fault, str] = field(default_factory=dict)

    def note(self, fault: Fault, executions: Iterable[str]) -> None:
        """It happened, while these executions were not over."""
        self.times[fault] += 1
        self.struck[fault].update(executions)
