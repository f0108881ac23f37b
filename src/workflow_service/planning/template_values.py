"""The plain values of a template become those of a rule, and places in a rule become places in the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workflow_service.planning.rules import When
from workflow_service.planning.step_format import Flaw, seconds
from workflow_service.planning.template_schema import CALLED
from workflow_service.planning.templates import Match, Named

LISTS: Mapping[str, str] = {"steps": "actions", "verify": "verify", "finally": "finally"}
_TO_RULE = {there: here for here, there in CALLED.items()}
_STOPPING = frozenset({"action", "check", "template", "wait"})  # kinds whose failure would be undone by default


def as_rule(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A template's steps as the rule file would have them."""
    answer = spec.get("onFailure")
    rule: dict[str, Any] = {"name": name, "reason": spec["description"]["what"]}
    for there, here in LISTS.items():
        if there in spec:
            rule[here] = _list(spec[there], answer)
    return rule | ({"onResolved": spec["onResolved"]} if "onResolved" in spec else {})


def with_needs(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The steps of one level, each with its needs: where none are given, the step above.

    What stands in for another step waits for that one's failure already, so it is passed over in both directions.
    """
    stand_ins = {step.get("alternative") for step in steps}
    above: list[str] = []
    found = []
    for step in steps:
        stands_in = step["id"] in stand_ins
        found.append({**step, "needs": step.get("needs", [] if stands_in else above)})
        above = above if stands_in else [step["id"]]
    return found


def match_of(raw: Mapping[str, Any] | None) -> Match | None:
    """Which alerts a template says it is for."""
    if raw is None:
        return None
    return Match(
        alertnames=tuple(raw["alertname"]),
        environments=tuple(raw.get("environment", ())),
        namespaces=tuple(raw.get("namespace", ())),
        expression=raw.get("when"),
    )


def when_of(raw: Mapping[str, Any] | None) -> When:
    """What of that a rule could ask for too."""
    lists = {name: tuple(map(str, (raw or {}).get(name, ()))) for name in ("kinds", "owners", "observed")}
    return When(severities=tuple((raw or {}).get("severity", ())), **lists)


def derive_of(raw: Mapping[str, str | list[str]]) -> dict[str, tuple[str, ...]]:
    """The sources of each parameter, in the order in which they are asked."""
    return {name: (said,) if isinstance(said, str) else tuple(said) for name, said in raw.items()}


def target_of(raw: Mapping[str, str] | None) -> Named | None:
    """What an order by hand is about."""
    return None if raw is None else Named(**raw)


def timeout_of(raw: Mapping[str, Any]) -> float | None:
    """The bound of the whole run in seconds, where the template has one."""
    return float(seconds(raw["timeout"])) if "timeout" in raw else None


def written(flaw: Flaw) -> Flaw:
    """A flaw of a rule, at `(spec, actions, 0, type)` say, as one of the template it was made of."""
    at, value, broken = flaw
    found: list[str | int] = []
    at_step = False  # whether the next word is a key of a step
    for index, word in enumerate(at):
        if index == 1 or not at_step:
            found.append("steps" if word == "actions" and index == 1 else word)
            at_step = isinstance(word, int)
            continue
        found.append(CALLED.get(str(word), word))
        if word not in {"steps", "rollback"}:  # what is inside of it is not ours to rename
            return (*found, *at[index + 1 :]), value, _reworded(broken)
        at_step = word == "rollback"
    return tuple(found), value, _reworded(broken)


def _reworded(broken: str) -> str:
    for here, there in CALLED.items():
        broken = broken.replace(f"`{here}`", f"`{there}`")
    return broken


def _list(steps: Sequence[Mapping[str, Any]], answer: str | None) -> list[dict[str, Any]]:
    return [_step(step, answer) for step in with_needs(steps)]


def _step(raw: Mapping[str, Any], answer: str | None) -> dict[str, Any]:
    """A step as the rule file has it; `answer` is the template's own to failures, None: it says nothing."""
    step = {_TO_RULE.get(key, key): value for key, value in raw.items()}
    if "steps" in step:
        step["steps"] = _list(step["steps"], answer)
    if "rollback" in step:
        step["rollback"] = {_TO_RULE.get(key, key): value for key, value in step["rollback"].items()}
    decided = "on_failure" in step or "alternative" in step or not step.get("critical", True)
    if answer == "stop" and not decided and step.get("kind", "action") in _STOPPING:
        step["on_failure"] = answer
    if answer == "rollback" and not decided and "approval" in step:
        step["on_failure"] = answer  # what is so by default, said for the question before it too
    return step
