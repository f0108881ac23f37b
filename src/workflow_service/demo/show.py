"""What the demo prints: workflows as trees with timings, and the cluster before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from workflow_service.cli.tree import tree


def trees(details: Sequence[Any]) -> Group:
    """Every workflow as a tree: alert, reason, steps with their attempts and timings."""
    return Group(*(tree(one) for one in details))


def changes(before: Mapping[str, Any], after: Mapping[str, Any], workloads: Sequence[str]) -> Table:
    """What is different in the cluster."""
    table = Table(title="What changed in the cluster", title_justify="left")
    for column in ("deployment", "what", "before", "after"):
        table.add_column(column)
    for workload in workloads:
        old, new = _facts(before[workload]), _facts(after[workload])
        for fact in old:
            if old[fact] != new[fact]:
                table.add_row(workload, fact, old[fact], new[fact])
    return table


def _facts(found: Any) -> dict[str, str]:
    deployment = found["deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    status = deployment.get("status", {})
    restarted = deployment["spec"]["template"]["metadata"].get("annotations", {})
    restart = next((value for key, value in restarted.items() if key.endswith("/restarted-by")), "-")
    return {
        "replicas": str(deployment["spec"]["replicas"]),
        "ready": f"{status.get('readyReplicas', 0)} of {status.get('replicas', 0)}",
        "image": container["image"].rpartition("/")[2],
        "restart mark": restart,
    }
