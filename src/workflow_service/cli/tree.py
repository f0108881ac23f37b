"""A workflow as a tree in a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from workflow_service.cli.showing import printable, shortened

_MARKS = {
    "succeeded": "[green]done   [/]",
    "failed": "[red]failed [/]",
    "running": "[yellow]running[/]",
    "waiting": "[yellow]waiting[/]",
    "skipped": "[dim]skipped[/]",
    "cancelled": "[dim]cancelled[/]",
    "unknown": "[red]unknown[/]",
    "blocked": "[red]blocked[/]",
    "pending": "[dim]pending[/]",
}
_UNDONE = {"undone": "[yellow]undone [/]", "undoing": "[yellow]undoing[/]", "undo_failed": "[red]not undone[/]"}


def tree(detail: Any) -> Tree:
    """The workflow whole: alert, reason, steps with their attempts and timings."""
    state = detail["status"]
    colour = {"completed": "green", "failed": "red", "rolled_back": "red"}.get(state, "yellow")
    head = f"[bold]{_text(detail['alert_name'])}[/] ({_text(detail['severity'])})  [{colour}]{state}[/]"
    if detail["ended_at"]:
        head += f"  in {_seconds(detail['created_at'], detail['ended_at'])}"
    found = Tree(head)
    details = detail["result"]["execution_details"]
    if details["plan"]:
        found.add(f"[dim]{_text(details['plan']['reason'])}[/]")
    for step in details["steps"]:
        mark = _UNDONE.get(step["undo"]) or _MARKS[step["status"]]
        branch = found.add(f"{mark} {_text(step['id'])}: {_text(step['type'] or step['kind'] or '')}{_time(step)}")
        for event in detail["events"]:
            if event["kind"] == "AttemptFailed" and event["step"] == step["id"]:
                onward = "will be tried again" if event["retry_at"] else "no more tries"
                branch.add(f"[red]{event['error_class']}[/]: {_message(event)} ({onward})")
        if step["message"] and (step["status"] != "failed" or not step["attempts"]):
            branch.add(f"[dim]{_message(step)}[/]")
    return found


def _text(text: str) -> str:
    return escape(printable(text))


def _message(told: Any) -> str:
    return _text(shortened(told["message"], 110))


def _time(step: Any) -> str:
    if not step["started_at"]:
        return ""
    tries = f", {step['attempts']} attempts" if step["attempts"] > 1 else ""
    return (
        f"  [dim]{_seconds(step['started_at'], step['ended_at'])}{tries}[/]" if step["ended_at"] else f"[dim]{tries}[/]"
    )


def _seconds(start: str, end: str) -> str:
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f} s"
