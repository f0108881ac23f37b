"""What the demo prints: workflows as trees with timings, and the cluster before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

_MARKS = {
    "succeeded": "[green]done   [/]",
    "failed": "[red]failed [/]",
    "running": "[yellow]running[/]",
    "waiting": "[yellow]waiting[/]",
    "skipped": "[dim]skipped[/]",
    "cancelled": "[dim]cancelled[/]",
    "unknown": "[red]unknown[/]",
    "pending": "[dim]pending[/]",
}


def trees(details: Sequence[Any]) -> Group:
    """Every workflow as a tree: alert, reason, steps with their attempts and timings."""
    return Group(*(_tree(one) for one in details))


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


def _tree(detail: Any) -> Tree:
    state = detail["status"]
    colour = {"completed": "green", "failed": "red", "rolled_back": "red"}.get(state, "yellow")
    head = f"[bold]{escape(detail['alert_name'])}[/] ({detail['severity']})  [{colour}]{state}[/]"
    if detail["ended_at"]:
        head += f"  in {_seconds(detail['created_at'], detail['ended_at'])}"
    tree = Tree(head)
    details = detail["result"]["execution_details"]
    if details["plan"]:
        tree.add(f"[dim]{escape(details['plan']['reason'])}[/]")
    for step in details["steps"]:
        branch = tree.add(
            f"{_MARKS.get(step['status'], step['status'])} {escape(step['id'])}: {step['type']}{_time(step)}"
        )
        for event in detail["events"]:
            if event["kind"] == "AttemptFailed" and event["step"] == step["id"]:
                onward = "will be tried again" if event["retry_at"] else "no more tries"
                branch.add(f"[red]{event['error_class']}[/]: {escape(event['message'][:110])} ({onward})")
        if step["message"] and step["status"] == "succeeded":
            branch.add(f"[dim]{escape(step['message'][:110])}[/]")
    return tree


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


def _time(step: Any) -> str:
    if not step["started_at"]:
        return ""
    tries = f", {step['attempts']} attempts" if step["attempts"] > 1 else ""
    return (
        f"  [dim]{_seconds(step['started_at'], step['ended_at'])}{tries}[/]" if step["ended_at"] else f"[dim]{tries}[/]"
    )


def _seconds(start: str, end: str) -> str:
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f} s"
