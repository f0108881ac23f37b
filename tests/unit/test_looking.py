"""How conditions are looked at: once or until they hold, fresh every time, and what nobody can see."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.support.scripted_executor import ScriptedExecutor
from tests.unit.factories import T0, a_target, at
from workflow_service.domain.errors import Misunderstood
from workflow_service.domain.expressions import Type
from workflow_service.domain.plan import Condition
from workflow_service.domain.target import Target
from workflow_service.engine import looking
from workflow_service.engine.attempt import Unsent
from workflow_service.engine.looking import Lookout, Outlook, Seen
from workflow_service.ports import Observation

READY = Condition("observed.ready_replicas >= 3", "three must be ready", within=60, poll=10)


@dataclass
class Watched(ScriptedExecutor):
    """An executor whose world changes from look to look: `story` says what happens before each."""

    story: list[Callable[[Watched], None]] = field(default_factory=list)
    looks: int = 0

    async def observe(self, target: Target) -> Observation:
        """Go on with the story, then look."""
        self.looks += 1
        if self.story:
            self.story.pop(0)(self)
        return await super().observe(target)


class Looking:
    """A lookout whose time passes only while it waits for its next look."""

    def __init__(self, executor: ScriptedExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = T0
        self.paused: list[float] = []
        self.lookout = Lookout(executor, clock=lambda: self.now)
        self._yield = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        await self._yield(0)
        self.paused += [seconds] if seconds else []
        self.now += timedelta(seconds=seconds)

    async def see(self, *conditions: Condition, **values: Any) -> Seen | Unsent:
        """What becomes of these conditions of a deployment."""
        defaults: dict[str, Any] = {
            "names": {"params.least": Type.INT},
            "known": {"params.least": 3},
            "target": a_target(),
            "result": {},
            "since": T0,
            "until": at(60),
        }
        return await self.lookout.watch(Outlook(step="scale", conditions=conditions, **{**defaults, **values}))

    async def seen(self, *conditions: Condition, **values: Any) -> Seen:
        """The same, when something could be seen."""
        found = await self.see(*conditions, **values)
        assert isinstance(found, Seen)
        return found


def ready(number: int) -> Callable[[Watched], None]:
    """So many are ready from now on."""
    return lambda executor: executor.facts.update({"web": {"ready_replicas": number}})


async def test_what_holds_at_once_needs_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evidence says what was asked, about what, what was seen, and when."""
    executor = Watched()
    found = await Looking(executor, monkeypatch).seen(READY)
    assert (found.held, found.message, executor.looks) == (True, "", 1)
    (evidence,) = found.evidence
    assert evidence == {
        "kind": "postcondition",
        "expression": "observed.ready_replicas >= 3",
        "message": "three must be ready",
        "critical": True,
        "held": True,
        "about": a_target().identity,
        "observed": {"replicas": 3, "ready_replicas": 3},
        "trouble": "",
        "at": T0.isoformat(),
    }


async def test_it_looks_again_until_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `poll` seconds, with what is there then and never with what was there before."""
    executor = Watched(story=[ready(1), ready(2), ready(3)])
    watching = Looking(executor, monkeypatch)
    found = await watching.seen(READY)
    assert (found.held, executor.looks, watching.paused) == (True, 3, [10, 10])


async def test_after_within_it_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last look is at the very end of its time; the message says what does not hold."""
    executor = Watched(story=[ready(1)])
    watching = Looking(executor, monkeypatch)
    late = Condition("observed.ready_replicas >= params.least", "three must be ready", within=25, poll=10)
    found = await watching.seen(late)
    assert (found.held, found.message) == (False, "three must be ready")
    assert (watching.paused, watching.now) == ([10, 10, 5], at(25))


async def test_however_late_there_is_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes back after a crash looks once, and believes what is there."""
    executor = Watched()
    watching = Looking(executor, monkeypatch)
    watching.now = at(1000)
    assert (await watching.seen(READY)).held
    assert executor.looks == 1


async def test_conditions_must_hold_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that held before and does not when the other does has not held; once its time is over that is the end."""
    once = Condition("observed.replicas == 3")
    executor = Watched(story=[ready(1), lambda one: one.facts.update({"web": {"replicas": 5, "ready_replicas": 3}})])
    found = await Looking(executor, monkeypatch).seen(once, READY)
    assert (found.held, found.message) == (False, "observed.replicas == 3 does not hold")
    assert executor.looks == 2


async def test_a_critical_one_that_is_out_of_time_ends_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the others: the step has failed already."""
    executor = Watched(story=[ready(1)])
    watching = Looking(executor, monkeypatch)
    found = await watching.seen(Condition("observed.ready_replicas == 3", "now", within=0), READY)
    assert (found.held, watching.paused) == (False, [])
    assert found.message == "now; three must be ready"


async def test_one_that_is_not_critical_is_only_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at as long as it says; what comes of it changes nothing."""
    executor = Watched(story=[ready(1)])
    watching = Looking(executor, monkeypatch)
    wish = Condition("observed.ready_replicas >= 3", within=20, poll=10, critical=False)
    found = await watching.seen(Condition("observed.replicas == 3"), wish)
    assert (found.held, watching.paused) == (True, [10, 10])
    assert [verdict["held"] for verdict in found.evidence] == [True, False]


async def test_one_object_is_looked_up_once_in_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several conditions about it see the same; what asks about nothing needs no look."""
    executor = Watched()
    watching = Looking(executor, monkeypatch)
    other = Condition("observed.replicas == 3", target=a_target(name="other"))
    assert (await watching.seen(READY, Condition("observed.replicas == 3"), Condition("params.least == 3"), other)).held
    assert executor.looks == 2


async def test_what_is_not_there_is_not_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even that something is not so: nobody has seen it."""
    gone = Condition("!(observed.ready_replicas < 3)", target=a_target(name="gone-web"))
    found = await Looking(Watched(), monkeypatch).seen(gone)
    assert (found.held, found.message) == (
        False,
        "!(observed.ready_replicas < 3) does not hold (it cannot be observed)",
    )


async def test_prometheus_is_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition may ask for a metric; one without series is not true."""
    executor = Watched(metrics={"up": 1.0})
    watching = Looking(executor, monkeypatch)
    found = await watching.seen(Condition("observed.value == 1.0", promql="up"))
    assert (found.held, found.evidence[0]["about"], executor.looks) == (True, "up", 0)
    assert not (await watching.seen(Condition("observed.value == 1.0", promql="nobody"))).held


async def test_before_a_step_an_executor_that_is_away_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not blocked: it is for later. After the action the same is no proof, and the looks go on."""
    executor = Watched(away=True)
    watching = Looking(executor, monkeypatch)
    assert isinstance(await watching.see(READY, result=None), Unsent)
    assert watching.paused == []
    found = await watching.seen(READY)
    assert (found.held, len(watching.paused)) == (False, 6)
    assert "nobody listens there" in found.message


async def test_an_executor_that_comes_back_in_time_proves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look that fails is not the last."""

    def back(executor: Watched) -> None:
        executor.away = False

    executor = Watched(away=True, story=[lambda _: None, back])
    assert (await Looking(executor, monkeypatch).seen(READY)).held


async def test_one_that_is_not_critical_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers about it, before the step: it is noted and the step may begin."""
    executor = Watched(away=True)
    wish = Condition("observed.replicas == 3", critical=False)
    found = await Looking(executor, monkeypatch).seen(wish, result=None)
    assert (found.held, found.evidence[0]["kind"], found.evidence[0]["held"]) == (True, "precondition", False)


async def test_what_the_executor_refuses_to_look_at_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has answered, so waiting would not help: it cannot be observed."""

    class Refusing(ScriptedExecutor):
        async def measure(self, promql: str) -> Observation:
            raise Misunderstood(f"{promql}: no Prometheus is known here")

    found = await Looking(Refusing(), monkeypatch).seen(Condition("observed.value > 0.0", promql="up"), result=None)
    assert (found.held, found.message) == (
        False,
        "observed.value > 0.0 does not hold (up: no Prometheus is known here)",
    )


async def test_a_look_that_hangs_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the time that is left, and a moment at least: then it has seen nothing."""

    class Hanging(ScriptedExecutor):
        async def observe(self, target: Target) -> Observation:
            await asyncio.Event().wait()
            return await super().observe(target)

    monkeypatch.setattr(looking, "LAST_LOOK", 0.01)
    found = await Looking(Hanging(), monkeypatch).see(READY, until=T0, result=None)
    assert found == Unsent("no answer in time")


async def test_long_answers_are_kept_in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is no place for megabytes."""
    long: Mapping[str, Any] = {"ready_replicas": 3, "text": "x" * 5000}
    executor = Watched(facts={"web": long})
    (evidence,) = (await Looking(executor, monkeypatch).seen(READY)).evidence
    assert len(evidence["observed"]) == looking.SHOWN + 3


async def test_an_answer_of_the_wrong_type_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trouble is named in the evidence and in the message."""
    executor = Watched(facts={"web": {"ready_replicas": "three"}})
    found = await Looking(executor, monkeypatch).seen(Condition("observed.ready_replicas >= 3", within=0))
    assert not found.held
    assert "cannot take values of these types" in found.evidence[0]["trouble"]
