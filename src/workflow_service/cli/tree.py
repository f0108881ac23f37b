"""A workflow as a tree in a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.markup import escape
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


def tree(detail: Any) -> Tree:
    """The workflow whole: alert, reason, steps with their attempts and timings."""
    state = detail["status"]
    colour = {"completed": "green", "failed": "red", "rolled_back": "red"}.get(state, "yellow")
    head = f"[bold]{escape(detail['alert_name'])}[/] ({detail['severity']})  [{colour}]{state}[/]"
    if detail["ended_at"]:
        head += f"  in {_seconds(detail['created_at'], detail['ended_at'])}"
    found = Tree(head)
    details = detail["result"]["execution_details"]
    if details["plan"]:
        found.add(f"[dim]{escape(details['plan']['reason'])}[/]")
    for step in details["steps"]:
        branch = found.add(
            f"{_MARKS.get(step['status'], step['status'])} {escape(step['id'])}: {step['type']}{_time(step)}"
        )
        for event in detail["events"]:
            if event["kind"] == "AttemptFailed" and event["step"] == step["id"]:
                onward = "will be tried again" if event["retry_at"] else "no more tries"
                branch.add(f"[red]{event['error_class']}[/]: {escape(event['message'][:110])} ({onward})")
        if step["message"] and step["status"] == "succeeded":
            branch.add(f"[dim]{escape(step['message'][:110])}[/]")
    return found


def _time(step: Any) -> str:
    if not step["started_at"]:
        return ""
    tries = f", {step['attempts']} attempts" if step["attempts"] > 1 else ""
    return (
        f"  [dim]{_seconds(step['started_at'], step['ended_at'])}{tries}[/]" if step["ended_at"] else f"[dim]{tries}[/]"
    )


def _seconds(start: str, end: str) -> str:
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f} s"
