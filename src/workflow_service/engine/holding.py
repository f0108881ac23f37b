"""The target locks of one drive: what it takes with which entry, and what follows when somebody else has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflow_service.domain import events as ev
from workflow_service.domain import locking
from workflow_service.domain.bounds import step_deadline
from workflow_service.domain.decisions import StartStep
from workflow_service.domain.graph import Graph
from workflow_service.domain.run_state import RunState
from workflow_service.engine.means import Means
from workflow_service.store import locks
from workflow_service.store.locks import NO_GRIP, Grip

LOCKED = "target_locked"  # the reason of a step that never had its target to itself
FIRST_PAUSE, LAST_PAUSE = 1.0, 15.0  # seconds between tries to take what became known while running


@dataclass(frozen=True, slots=True)
class _Refused:
    """What somebody else has: each target's workflow, empty where only others wait for it."""

    by: Mapping[str, str]

    def words(self, target: str) -> str:
        return f"{target} is being changed by " + (f"workflow {self.by[target]}" if self.by[target] else "another")


_NOBODY = _Refused({})


class Holding:
    """Keeps count of what this drive knows to be its own.

    What the plan names is taken when the work begins, or goes on after a standstill before the first effect. What only
    becomes known while running (an item's target) is taken with the start of its step.
    """

    def __init__(self, means: Means, graph: Graph, state: RunState) -> None:
        self._means, self._graph = means, graph
        self._planned = locking.planned(graph, cluster=means.site.cluster)
        self._held = self._all(state) if locking.holds(graph, state) else frozenset[str]()
        self._refused = _NOBODY

    def grow(self, graph: Graph) -> None:
        """From now on the plan has these steps."""
        self._graph, self._planned = graph, locking.planned(graph, cluster=self._means.site.cluster)

    def grip(self, before: RunState, after: RunState, events: Sequence[ev.Event]) -> Grip:
        """What an entry that leads from `before` to `after` takes and gives back."""
        held, holds = locking.holds(self._graph, before), locking.holds(self._graph, after)
        if any(isinstance(event, ev.TargetAwaited) for event in events):
            return Grip(lets_go=True, awaits=self._all(after).union(self._refused.by))
        if holds:
            return self._more(events) if held else Grip(takes=self._all(after))
        leaves = held or (bool(before.awaits) and not after.awaits)
        return Grip(lets_go=True) if leaves and not after.final else NO_GRIP  # at the end all is given back anyway

    def _more(self, events: Sequence[ev.Event]) -> Grip:
        started = (event for event in events if isinstance(event, ev.StepStarted))
        locked = {self._lock(event.step, event.parameters) for event in started}
        if any(isinstance(event, ev.StepDelayed) for event in events):
            return Grip(takes=self._new(locked), awaits=frozenset(self._refused.by), urgent=True)
        return Grip(takes=new) if (new := self._new(locked)) else NO_GRIP

    def _new(self, locked: set[str | None]) -> frozenset[str]:
        return frozenset(one for one in locked if one is not None and one not in self._held)

    def written(self, grip: Grip) -> None:
        """That entry is committed."""
        if grip is not NO_GRIP:
            self._held = frozenset(grip.takes) if grip.lets_go else self._held.union(grip.takes)
        self._refused = _NOBODY

    async def refused(self, targets: frozenset[str]) -> None:
        """Remember who has these.

        Raises:
            StoreUnavailable: the database is away.
        """
        self._refused = _Refused({**self._refused.by, **await locks.holders(self._means.database, targets)})

    def wait(self, before: RunState, now: datetime) -> list[ev.Event]:
        """Nothing can be begun: what the plan names is another's."""
        if not self._refused.by or locking.holds(self._graph, before):
            return []
        target, holder = min(self._refused.by.items(), key=lambda item: (not item[1], item[0]))
        return [ev.TargetAwaited(now, target, holder)]

    def delay(self, action: StartStep, state: RunState, now: datetime) -> list[ev.Event]:
        """The step's own target is another's: it is tried again, until its deadline."""
        target = self._lock(action.step, action.parameters) if self._refused.by else None
        if target is None or target not in self._refused.by:
            return []
        step, message = state.steps[action.step], self._refused.words(target)
        own = now + timedelta(seconds=self._graph.steps[action.step].deadline)
        end = step_deadline(self._graph, state, action.step) if step.started_at else own
        if end is not None and now >= end:
            return [ev.StepFailed(now, action.step, LOCKED, f"{message}, and was for all of the step's time")]
        waited = (now - step.started_at).total_seconds() if step.started_at else 0.0
        pause = timedelta(seconds=min(max(waited, FIRST_PAUSE), LAST_PAUSE))
        return [ev.StepDelayed(now, action.step, min(now + pause, end or now + pause), message)]

    def _lock(self, step: str, parameters: Mapping[str, object] | None) -> str | None:
        if parameters is None:
            return self._planned[step]
        return locking.lock_of(self._graph.steps[step], parameters, self._graph, cluster=self._means.site.cluster)

    def _all(self, state: RunState) -> frozenset[str]:
        return locking.changed(self._graph, state, self._planned, cluster=self._means.site.cluster)
