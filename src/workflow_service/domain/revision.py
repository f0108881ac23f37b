"""A new revision of a plan: other parameters, by hand, for steps that are to be done again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import InvalidPlan, Violation
from workflow_service.domain.graph import validate
from workflow_service.domain.levels import every
from workflow_service.domain.plan import Plan, Step, StepKind
from workflow_service.domain.run_state import StepState
from workflow_service.domain.secret_references import FILE_ONLY, holds_secret

Patch = Mapping[str, Mapping[str, Any]]  # by a step's path in the plan, by parameter; None takes a parameter away

# What a step acts on is known to more than its parameters: a retry acts on the same.
_NAMES = ("namespace", "resource_name", "resource_type", "node_name")
_ITEM = re.compile(r"\[\d+\]")
_UNCHECKED = "no catalogue of the executor is known here, so nobody has checked the parameters"


def hindrance(plan: Plan, again: Mapping[str, StepState], patch: Patch) -> str | None:
    """Why a retry that begins with the steps `again` cannot change these; None: it can."""
    reasons = (_hindrance(plan, again, path) for path in patch)
    return next(filter(None, reasons), None)


def revised(plan: Plan, command: Command, catalogue: Catalogue | None) -> Plan:
    """The next revision: sound, checked against the executor's catalogue; its metadata says who changed what, and why.

    Without a catalogue the parameters are taken as they are, and the metadata says so.

    Raises:
        InvalidPlan: with every rule that the new parameters break.
    """
    patch: Patch = command.arguments["parameters"]
    steps = tuple(_with(step, patch, step.id) for step in plan.steps)
    found = {path: step for path in patch if (step := _at(steps, path)) is not None}
    broken = [
        *(one for path in found for one in _secrets(_at(plan.steps, path), patch[path], f"parameters.{path}")),
        *(one for path, step in found.items() for one in _violations(_at(plan.steps, path), step, path, catalogue)),
    ]
    if broken:
        raise InvalidPlan("the parameters cannot be used", broken)
    note = {"by": command.actor, "reason": command.reason, "from": plan.hash, "parameters": patch}
    note |= {"catalogue_digest": catalogue.digest} if catalogue else {"note": _UNCHECKED}
    new = replace(plan, steps=steps, revision=plan.revision + 1, metadata={**plan.metadata, "revised": note})
    validate(new)
    return new


def _hindrance(plan: Plan, again: Mapping[str, StepState], path: str) -> str | None:
    if _ITEM.search(path):
        every = _ITEM.sub("", path)
        return f"parameters: {path!r} is one of several items; {every!r} stands for all that are done again"
    step = _at(plan.steps, path)
    if step is None:
        return f"parameters: {path!r} is no step of this workflow ({', '.join(_paths(plan.steps))})"
    if step.action is None and step.kind is not StepKind.TEMPLATE:
        return f"parameters: {path!r} is of kind {step.kind} and has none"
    if not _done_again(again, path):
        return f"parameters: {path!r} keeps its result; only what is done again can be given others"
    return None


def _at(steps: Sequence[Step], path: str) -> Step | None:
    first, _, rest = path.partition("/")
    step = next((step for step in steps if step.id == first), None)
    return _at(step.steps, rest) if step is not None and rest else step


def _paths(steps: Sequence[Step], at: str = "") -> Iterator[str]:
    for step in steps:
        yield f"{at}{step.id}"
        yield from _paths(step.steps, f"{at}{step.id}/")


def _done_again(again: Mapping[str, StepState], path: str) -> bool:
    """Whether any step of that path is open; one inside a group that was never opened is as open as its group."""
    known = [step for name, step in again.items() if _ITEM.sub("", name) == path]
    if not known and "/" in path:
        return _done_again(again, path.rpartition("/")[0])
    return any(not step.final for step in known)


def _with(step: Step, patch: Patch, path: str) -> Step:
    if step.steps:
        step = replace(step, steps=tuple(_with(child, patch, f"{path}/{child.id}") for child in step.steps))
    if path not in patch:
        return step
    if step.action is None:
        return replace(step, parameters=_merged(step.parameters, patch[path]))
    return replace(step, action=replace(step.action, parameters=_merged(step.action.parameters, patch[path])))


def _merged(old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **given}.items() if value is not None or name not in given}


def _secrets(old: Step | None, given: Mapping[str, Any], at: str) -> Iterator[Violation]:
    """Nobody chooses a secret by hand, nor what else is done with one that the plan names."""
    bound = old is not None and any(_uses_secret(step) for step, _ in every((old,)))
    for name, value in given.items():
        if holds_secret({name: value}):
            yield Violation(f"{at}.{name}", value, FILE_ONLY)
        elif bound:
            yield Violation(f"{at}.{name}", value, "must stay: the step uses a secret, as its plan alone says")


def _uses_secret(step: Step) -> bool:
    undo = step.rollback.parameters if step.rollback else {}
    return holds_secret((step.given_parameters, undo))


def _violations(old: Step | None, new: Step, path: str, catalogue: Catalogue | None) -> Iterator[Violation]:
    at = f"parameters.{path}"
    if new.action is None or old is None or old.action is None:
        return
    before, after = old.action.parameters, new.action.parameters
    for name in _NAMES:
        if before.get(name) != after.get(name):
            yield Violation(f"{at}.{name}", after.get(name), "must stay: a retry acts on what the plan was made for")
    if catalogue is None:
        return
    entry = catalogue.get(new.action.type)
    if entry is None:
        yield Violation(at, new.action.type, "is not offered by the executor")
        return
    try:
        yield from entry.violations(after, at=at)
    except Exception as error:  # noqa: BLE001 - the schema is the executor's: however broken, the answer is a refusal
        yield Violation(at, new.action.type, f"has a schema that cannot be used: {error!r:.200}")
