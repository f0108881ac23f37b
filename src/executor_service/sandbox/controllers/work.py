"""The work queue: which object is looked at next, and when."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass

Reconcile = Callable[[str, str], None]
"""Looks at the object (namespace, name) and moves it one step."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to look at: which controller, which object."""

    controller: str
    namespace: str
    name: str


class WorkQueue:
    """Runs tasks when they are due: at once in virtual time, or on the event loop after real delays.

    A task waits in the queue at most once; asking again only ever makes it earlier.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._controllers: dict[str, Reconcile] = {}
        self._due: dict[Task, float] = {}
        self._heap: list[tuple[float, int, Task]] = []
        self._order = 0
        self._virtual = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def register(self, controller: str, reconcile: Reconcile) -> None:
        """Name the function behind a controller."""
        self._controllers[controller] = reconcile

    def add(self, task: Task, after: float) -> None:
        """Look at a task's object `after` seconds from now (divided by the speed when time is real)."""
        delay = after / self._speed if self._loop else after
        due = self._time() + delay
        if due >= self._due.get(task, float("inf")):
            return
        self._due[task] = due
        self._order += 1
        heapq.heappush(self._heap, (due, self._order, task))
        self._arm()

    def advance(self, seconds: float) -> None:
        """Let virtual time pass and run everything that becomes due in it."""
        end = self._virtual + seconds
        while self._heap and self._heap[0][0] <= end:
            self._virtual = max(self._virtual, self._heap[0][0])
            self._pop()
        self._virtual = end

    @property
    def virtual_seconds(self) -> float:
        """How much virtual time has passed since the last clear."""
        return self._virtual

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on real time passes: what is waiting keeps its remaining delay."""
        shift = loop.time() - self._virtual
        self._loop = loop
        self._due = {task: due + shift for task, due in self._due.items()}
        self._heap = [(due + shift, order, task) for due, order, task in self._heap]
        self._arm()

    def clear(self) -> None:
        """Forget all waiting tasks and go back to virtual time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None
        self._virtual = 0.0
        self._due.clear()
        self._heap.clear()

    def _time(self) -> float:
        return self._loop.time() if self._loop else self._virtual

    def _arm(self) -> None:
        if self._loop is None or not self._heap:
            return
        first = self._heap[0][0]
        if self._timer is not None:
            if self._timer.when() <= first:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(first, self._run_due)

    def _run_due(self) -> None:
        self._timer = None
        now = self._time()
        try:
            while self._heap and self._heap[0][0] <= now:
                self._pop()
        finally:
            self._arm()

    def _pop(self) -> None:
        due, _, task = heapq.heappop(self._heap)
        if self._due.get(task) != due:
            return  # it was moved to an earlier time and has run
        del self._due[task]
        self._controllers[task.controller](task.namespace, task.name)
