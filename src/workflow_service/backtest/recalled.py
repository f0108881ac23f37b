"""What history knows of an alert's target: what was seen of it when its workflow was planned. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from workflow_service.domain.locking import OWNERS
from workflow_service.domain.target import KINDS, TARGETS, Target
from workflow_service.ports import Observation


def recalled(metadata: Mapping[str, Any]) -> Observation | None:
    """The observation that a plan was made from, by the plan's metadata; None: nothing was seen."""
    seen = metadata.get("observation") or {}
    if "facts" not in seen:
        return None
    owners = (target_of(owner) for own, owner in (metadata.get(OWNERS) or {}).items() if owner != own)
    return Observation(
        found=bool(seen.get("found")),
        facts=dict(seen["facts"]),
        owners=tuple(one for one in owners if one is not None),
        observed_at=datetime.fromisoformat(seen["observed_at"]),
    )


def target_of(identity: str) -> Target | None:
    """The object that an identity names (`Target.identity`); None: it names none."""
    parts = identity.removeprefix(TARGETS).split("/")
    if not identity.startswith(TARGETS) or len(parts) != 4:
        return None
    cluster, namespace, kind, name = parts
    return Target(cluster, KINDS.get(kind, kind), name, None if namespace == "-" else namespace)
