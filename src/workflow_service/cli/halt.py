"""`workflow-service halt` and `unhalt`: the kill switch."""

from __future__ import annotations

import click

from workflow_service.cli import showing
from workflow_service.cli.calling import Service
from workflow_service.cli.options import speaks


@click.command()
@click.option("--namespace", default="", help="Only there; default: everywhere.")
@click.option("--reason", required=True, help="Why; everybody who asks is told.")
@speaks
def halt(service: Service, output: str, namespace: str, reason: str) -> None:
    """Stop everything that changes; what runs finishes, and undo stays possible."""
    _show(service.call("POST", "api", "v1", "halt", body={"namespace": namespace, "reason": reason}), output)


@click.command()
@click.option("--namespace", default="", help="Only there; default: what was halted everywhere.")
@speaks
def unhalt(service: Service, output: str, namespace: str) -> None:
    """Let what was halted go on."""
    _show(service.call("DELETE", "api", "v1", "halt", query={"namespace": namespace}), output)


def _show(found: dict[str, list[dict[str, str]]], output: str) -> None:
    if output == "json":
        showing.as_json(found)
        return
    for one in found["halts"]:
        click.echo(f"halted {one['namespace'] or 'everywhere'} by {one['by']}: {one['reason']}")
    if not found["halts"]:
        click.echo("nothing is halted")
