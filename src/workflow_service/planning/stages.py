"""The actions of an advisor's answer, each held against the executor's catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow_service.domain.catalogue import ActionType, Catalogue, canonical
from workflow_service.domain.errors import Violation
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.target import KINDS, Target
from workflow_service.planning.multi_stage_format import CONDITIONS
from workflow_service.planning.step_format import seconds

IF_PRIMARY_FAILS, AFTER_PRIMARY, PARALLEL = CONDITIONS
# What an alias says beside the name of the action that it means.
_IMPLIED: Mapping[str, Mapping[str, str]] = {"restart_deployment": {"resource_type": "deployment"}}


@dataclass(frozen=True, slots=True)
class Stage:
    """One action of the answer. Times in seconds."""

    id: str  # of its step
    at: str  # its field in the answer
    called: str  # as the answer calls the action
    entry: ActionType
    parameters: Mapping[str, Any]
    target: Target | None
    order: int
    condition: str | None  # None: the primary
    timeout: float | None
    duration: float | None  # expected
    prerequisites: tuple[str, ...] = ()

    @property
    def implied(self) -> Mapping[str, Any]:
        """Parameters that its name brings along."""
        return _implied(self.called)

    def means(self, name: str) -> bool:
        """Whether another action's prerequisite speaks of this one."""
        return name.strip() in {self.id, self.called} or canonical(name) == self.entry.type


def stages(answer: Mapping[str, Any], catalogue: Catalogue, cluster: str) -> tuple[list[Stage], list[Violation]]:
    """The primary, then the others in their order; and what is wrong with any of them."""
    secondary = answer.get("secondary_actions", ())
    given = [("primary", "primary_action", answer["primary_action"])]
    given += [(f"secondary_{n + 1}", f"secondary_actions.{n}", raw) for n, raw in enumerate(secondary)]
    found: list[Stage] = []
    broken: list[Violation] = []
    for name, at, raw in given:
        entry = catalogue.get(raw["action"])
        if entry is None:
            broken.append(Violation(f"{at}.action", raw["action"], f"is not offered: {_offered(catalogue)}"))
            continue
        parameters = _parameters(raw)
        broken += _violations(entry, parameters, at=f"{at}.parameters")
        found.append(_stage(name, at, raw, entry=entry, target=_target(entry, parameters, cluster)))
    return found[:1] + sorted(found[1:], key=lambda stage: stage.order), broken


def _stage(name: str, at: str, raw: Mapping[str, Any], *, entry: ActionType, target: Target | None) -> Stage:
    return Stage(
        id=name,
        at=at,
        called=raw["action"],
        entry=entry,
        parameters=_parameters(raw),
        target=target,
        order=raw.get("execution_order", 0),
        condition=raw.get("condition"),
        timeout=seconds(raw["timeout"]) if "timeout" in raw else None,
        duration=seconds(raw["expected_duration"]) if "expected_duration" in raw else None,
        prerequisites=tuple(raw.get("prerequisites", ())),
    )


def _parameters(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**_implied(raw["action"]), **raw["parameters"]}


def _implied(called: str) -> Mapping[str, str]:
    return _IMPLIED.get(called.strip().lower().replace("-", "_"), {})


def _violations(entry: ActionType, parameters: Mapping[str, Any], *, at: str) -> Iterator[Violation]:
    if has_expressions(parameters):
        yield Violation(at, "${{ }}", "must be values: an advisor writes no expressions")
        return
    try:
        yield from entry.violations(parameters, at=at)
    except Exception as error:  # noqa: BLE001 - the schema is the executor's: however broken, the answer is refused
        yield Violation(at, entry.type, f"has a schema that cannot be used: {error!r:.200}")


def _offered(catalogue: Catalogue) -> str:
    return f"the executor offers {', '.join(sorted(catalogue.actions))}"[:1000]


def _target(entry: ActionType, parameters: Mapping[str, Any], cluster: str) -> Target | None:
    """The object that the parameters name, as far as they do."""
    node = _word(parameters, ("node_name",))
    if node is not None:
        return Target(cluster, "Node", node)
    name, namespace = _word(parameters, ("resource_name",)), _word(parameters, ("namespace",))
    kind = _kind(entry, parameters)
    if name is None or kind is None or (namespace is None and kind != "Node"):
        return None
    return Target(cluster, kind, name, None if kind == "Node" else namespace)


def _kind(entry: ActionType, parameters: Mapping[str, Any]) -> str | None:
    said = _word(parameters, ("resource_type",)) or _word(entry.parameters, ("properties", "resource_type", "default"))
    if said is not None:
        return KINDS.get(said.lower())
    return entry.target_kinds[0] if len(entry.target_kinds) == 1 else None


def _word(values: object, path: Sequence[str]) -> str | None:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values if isinstance(values, str) and values else None
