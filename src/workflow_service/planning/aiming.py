"""What an advisor's actions act on: the alert's target or who owns it, never anything that was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflow_service.domain.advice import TARGET_PARAMETERS, Candidate, choosable
from workflow_service.domain.catalogue import ActionType, Catalogue
from workflow_service.domain.target import Target
from workflow_service.planning.filling import PlanLimits

_CLOSED = frozenset({"integer", "number", "boolean"})


@dataclass(frozen=True, slots=True)
class About:
    """What a plan was made for, and within which bounds. `owner`: who decides about the target, where known."""

    target: Target | None
    catalogue: Catalogue
    limits: PlanLimits
    owner: Target | None = None

    def aim(self, entry: ActionType) -> Target | None:
        """What that action is for: the target, else its owner, whichever is of a kind that it takes; None: neither."""
        kinds = {kind.lower() for kind in entry.target_kinds}
        for one in (self.target, self.owner):
            if one is not None and (not kinds or one.kind.lower() in kinds):
                return one
        return None


def offered(entry: ActionType, about: About, *, free: bool = True) -> Candidate | None:
    """The action as an advisor may name it; None: it is not for this alert, or not to be said in a closed form.

    All that has to be said for it is a number, yes or no, one of some words or of a pattern; or is the alert's target.
    `free` False: nothing of a pattern either, which bounds the form of a value and not its size.
    """
    if entry.changes and about.aim(entry) is None:
        return None
    properties = entry.parameters.get("properties") or {}
    closed = {
        name: schema for name, schema in choosable(entry.parameters, properties).items() if _is_closed(schema, free)
    }
    required = frozenset(entry.parameters.get("required") or ()) - TARGET_PARAMETERS
    ways = [frozenset(one.get("required") or ()) for one in entry.parameters.get("anyOf") or ()]
    if required - closed.keys() or (ways and not any(way - TARGET_PARAMETERS <= closed.keys() for way in ways)):
        return None  # somebody would have to write it in words of his own
    return Candidate(
        entry.type, entry.description, (entry.type,), parameters=closed, required=required, changes=entry.changes
    )


def target_parameters(entry: ActionType, target: Target | None) -> dict[str, Any]:
    """What says what is acted upon, in the words of that action."""
    if target is None:
        return {}
    own = target.kind.lower()
    named = {"namespace": target.namespace, "cluster": target.cluster, "kind": own, "resource_type": own}
    named |= dict.fromkeys(("name", "resource", "resource_name", own, f"{own}_name"), target.name)
    properties = entry.parameters.get("properties") or {}
    return {name: value for name, value in named.items() if name in properties and value is not None}


def _is_closed(schema: Mapping[str, Any], free: bool) -> bool:
    return schema.get("type") in _CLOSED or bool(schema.get("enum")) or (free and "pattern" in schema)
