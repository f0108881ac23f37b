"""What came of advice once its run is over: the words in which its advisor, and whoever counts, is told. Pure.

No upstream contract has a route for this; the form is ours. Nothing of the alert is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

QUESTIONS = ("selection", "advice")  # in a plan's metadata, in the order in which they are asked


def outcome_of(run: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report about a run that is over, advice used or not; None: nobody was asked, or nobody answered.

    `run` has id, workflow_id, status, reason, rollback and ended_at; `metadata` is that of its plan.
    """
    asked = [found for name in QUESTIONS if isinstance(found := metadata.get(name), Mapping)]
    answered = [one for one in asked if isinstance(one.get("advice"), Mapping)]
    if not answered:
        return None
    ended: datetime = run["ended_at"]
    return {
        "execution_id": run["id"],
        "workflow_id": run["workflow_id"],
        "provider": str(answered[-1].get("provider")),
        "creation_method": metadata.get("creation_method"),
        "answers": [
            {
                "task": one.get("task"),
                "model": one.get("model"),
                "outcome": one.get("outcome"),
                "confidence": one["advice"].get("confidence"),
                "used": list(one.get("used") or ()),
                "left_out": list(one.get("left_out") or ()),
            }
            for one in answered
        ],
        "used": any(one.get("used") for one in answered),
        "status": run["status"],
        "reason": run["reason"],
        "success": run["status"] == "completed",
        "rollback": run["rollback"],
        "ended_at": ended.isoformat(),
    }
