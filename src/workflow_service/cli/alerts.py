"""`workflow-service alerts`: sending them, listing them, and asking why."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, BinaryIO

import click

from workflow_service.cli import showing
from workflow_service.cli.calling import NOT_COMPLETED, REFUSED, Service
from workflow_service.cli.following import following
from workflow_service.cli.options import speaks

WAIT = 60  # seconds


@click.group()
def alerts() -> None:
    """Send alerts, list them, ask why each became what it is."""


@alerts.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--wait/--no-wait", default=False, help="Wait a minute for the end; exit 4 when it is no success.")
@speaks
def send(service: Service, output: str, file: BinaryIO, *, wait: bool) -> None:
    """Send FILE (default: what comes on stdin), one alert or a notification of Alertmanager, as JSON."""
    body = file.read()
    if _is_notification(body):
        found = service.call("POST", "api", "v1", "alerts", body=body)["alerts"]
        _sent(found, output)
        if found and all(one["outcome"] == "invalid" for one in found):
            sys.exit(REFUSED)
        if wait and not _all_completed(service, found):
            sys.exit(NOT_COMPLETED)
        return
    prefer = f"wait={WAIT}" if wait else "respond-async"
    answer = service.call("POST", "api", "v1", "execute", body=body, Prefer=prefer)
    result = answer["result"]
    if output == "json":
        showing.as_json(answer)
    else:
        intake = result["execution_details"]["intake"]
        click.echo(f"{intake['outcome']}: {intake['reason'] or 'a workflow of its own'}")
        if result["workflow_id"]:
            click.echo(f"workflow {result['workflow_id']} is {result['status']}")
    if wait and not result["success"]:
        sys.exit(NOT_COMPLETED)


@alerts.command("list")
@click.option("--workflow", "workflow_id", help="Only those that belong to this workflow.")
@click.option("--outcome", help="Only those that became that; `undecided`: nothing yet.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@speaks
def listed(service: Service, output: str, workflow_id: str | None, outcome: str | None, limit: int) -> None:
    """The newest alerts."""
    query = {"workflow_id": workflow_id, "outcome": outcome, "limit": limit}
    found = service.call("GET", "api", "v1", "alerts", query=query)
    if output == "json":
        showing.as_json(found)
    else:
        showing.table(found["alerts"], showing.ALERTS)


@alerts.command()
@click.argument("alert_id")
@speaks
def explain(service: Service, output: str, alert_id: str) -> None:
    """Why ALERT_ID became what it is: every rule that was asked, what it saw, what it decided."""
    found = service.call("GET", "api", "v1", "alerts", alert_id, "explain")
    if output == "json":
        showing.as_json(found)
        return
    click.echo(f"{found['outcome'] or 'undecided'}" + (f": {found['reason']}" if found["reason"] else ""))
    showing.table(found["rules"], showing.RULES)


def _is_notification(body: bytes) -> bool:
    try:
        document: Any = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and isinstance(document.get("alerts"), list)


def _all_completed(service: Service, sent: list[dict[str, Any]]) -> bool:
    """Whether every workflow of these alerts is completed within a minute, and no alert is invalid or undecided."""
    until = time.monotonic() + WAIT
    for workflow_id in dict.fromkeys(one["workflow_id"] for one in sent if one["workflow_id"]):
        for found in following(service, workflow_id):
            if not found["ended_at"] and time.monotonic() > until:
                return False
        if found["status"] != "completed":
            return False
    return all(one["outcome"] not in {"invalid", "undecided"} for one in sent)


def _sent(found: list[dict[str, Any]], output: str) -> None:
    if output == "json":
        showing.as_json(found)
        return
    showing.table(found, showing.SENT)
