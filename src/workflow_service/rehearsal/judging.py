"""One test of a template from its alert to its verdict: what happened, held against what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflow_service.domain import events as ev
from workflow_service.domain import graph
from workflow_service.domain.alert import Alert, alert_to_json
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import Rejected
from workflow_service.domain.plan import Plan
from workflow_service.domain.states import StepStatus
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.library import Library
from workflow_service.planning.ordering import alert_of, kept, read_order
from workflow_service.planning.planner import Planner
from workflow_service.planning.rules import Rules
from workflow_service.rehearsal.cases import CLUSTER, Case
from workflow_service.rehearsal.playing import Play
from workflow_service.rehearsal.virtual_time import Clock, StandsStill, run
from workflow_service.rehearsal.world import World, undoes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a test; `wrong` empty: it passed."""

    case: Case
    wrong: tuple[str, ...]
    happened: Mapping[str, Any]


def judge(case: Case, library: Library, rules: Rules, offered: Catalogue) -> Verdict:
    """Run one test."""
    clock = Clock()
    world = World(case, offered, clock)
    try:
        happened = run(_happens(case, world, clock, library, rules), clock)
    except (StandsStill, Rejected) as error:
        return Verdict(case, (str(error),), {})
    return Verdict(case, tuple(_wrong(case.expect, happened)), happened)


async def _happens(case: Case, world: World, clock: Clock, library: Library, rules: Rules) -> dict[str, Any]:
    alert, ordered = _asked(case, library)
    planner = Planner(world, rules, limits=PlanLimits(), load_catalogue=_loading(world), cluster=CLUSTER)
    planner.library = lambda: library
    plan = (await planner.plan(alert, ordered)).plan
    play = Play(graph.validate(plan), alert_to_json(alert), world, clock, case.people, rules.failures.patterns)
    await play.play()
    return _told(plan, play, world)


def _loading(world: World) -> Any:
    async def load() -> Catalogue | None:
        return (await world.catalogue())[0]

    return load


def _asked(case: Case, library: Library) -> tuple[Alert, Mapping[str, Any] | None]:
    if case.alert is not None:
        return case.alert, None
    order = read_order(case.order or {}, library)
    return alert_of(order, CLUSTER), kept(order)


def _told(plan: Plan, play: Play, world: World) -> dict[str, Any]:
    started = (event.step for event in play.journal if isinstance(event, ev.StepStarted))
    undone = (event.step for event in play.journal if isinstance(event, ev.UndoStarted))
    end = play.journal[-1]
    return {
        "template": plan.rule,
        "considered": plan.metadata["considered"],
        "parameters": dict(plan.parameters),
        "order": list(dict.fromkeys(started)),
        "sent": {one.step_id: dict(one.parameters) for one in world.sent if not undoes(one)},
        "skipped": [name for name, step in play.state.steps.items() if step.status is StepStatus.SKIPPED],
        "undo": list(dict.fromkeys(undone)),
        "status": str(play.state.status),
        "reason": getattr(end, "reason", ""),
        "cause": getattr(end, "cause", ""),
    }


def _wrong(expect: Mapping[str, Any], happened: Mapping[str, Any]) -> Iterator[str]:
    for name, wanted in expect.items():
        found = happened[name]
        if name == "template" and "@" not in wanted:
            found = str(found).partition("@")[0]
        if name == "skipped":
            found = [one for one in wanted if one in found]
        if name in {"parameters", "sent"}:
            found = _within(found, wanted)
        if found != wanted:
            yield f"{name}: expected {wanted}, got {found}{_why(name, happened)}"


def _within(found: Any, wanted: Any) -> Any:
    """As much of what was found as is asked for."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return {key: _within(found.get(key), one) for key, one in wanted.items()}
    return found


def _why(name: str, happened: Mapping[str, Any]) -> str:
    if name == "template":
        return f" ({happened['considered']})"
    return f" ({happened['cause']})" if name in {"status", "reason"} and happened["cause"] else ""
