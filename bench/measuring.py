"""What one measurement is: a closed loop of workflows, and the wall clock and CPU that this process spent on them."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

WARM_UP = 100  # actions before the clock starts: connections, prepared statements, caches


@dataclass(frozen=True, slots=True)
class Task:
    """What a subprocess is to measure."""

    url: str
    steps: int
    workflows: int
    concurrency: int

    @property
    def warm_up(self) -> int:
        """How many workflows are run before the clock starts."""
        return max(5, WARM_UP // self.steps)


@dataclass(frozen=True, slots=True)
class Reading:
    """What it measured. Start latencies in milliseconds, from the start's commit to the first action."""

    actions: int
    seconds: float
    cpu_seconds: float  # user and system, all threads of the process
    start_p50: float
    start_p99: float

    @property
    def per_second(self) -> float:
        """Actions per second."""
        return self.actions / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of Python per action, workflow start and end included."""
        return 1000 * self.cpu_seconds / self.actions


def task_from_arguments() -> Task:
    """The task that `arguments_of` put on this process's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    for name in ("steps", "workflows", "concurrency"):
        parser.add_argument(name, type=int)
    return Task(**vars(parser.parse_args()))


def arguments_of(task: Task) -> list[str]:
    """The command line of a process that measures `task`."""
    return [str(value) for value in asdict(task).values()]


async def measure(task: Task, run_one: Callable[[], Awaitable[None]], starts: list[float]) -> Reading:
    """Run the task's workflows, at most `concurrency` at once. `starts` collects start latencies in seconds."""
    await closed_loop(task.warm_up, task.concurrency, run_one)
    starts.clear()
    cpu, wall = time.process_time(), time.perf_counter()
    await closed_loop(task.workflows, task.concurrency, run_one)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    return Reading(
        actions=task.workflows * task.steps,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        start_p50=1000 * quantile(starts, 0.5),
        start_p99=1000 * quantile(starts, 0.99),
    )


async def closed_loop(total: int, concurrency: int, run_one: Callable[[], Awaitable[None]]) -> None:
    """Await `run_one` `total` times, at most `concurrency` at once."""
    turns = iter(range(total))

    async def lane() -> None:
        for _ in turns:
            await run_one()

    async with asyncio.TaskGroup() as lanes:
        for _ in range(concurrency):
            lanes.create_task(lane())


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile; 0 of nothing."""
    ordered = sorted(values) or [0.0]
    return ordered[round(share * (len(ordered) - 1))]


def print_reading(reading: Reading) -> None:
    """Hand the reading to the parent process: a line of stdout."""
    sys.stdout.write(json.dumps(asdict(reading)) + "\n")
    sys.stdout.flush()


def readings_from(output: str) -> list[Reading]:
    """Read what `print_reading` wrote, as often as it did."""
    return [Reading(**json.loads(line)) for line in output.splitlines() if line.startswith("{")]
