"""`workflow-service workflows`: looking at them, watching one, and telling one what to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from workflow_service.cli import showing
from workflow_service.cli.calling import NOT_COMPLETED, Service
from workflow_service.cli.following import following
from workflow_service.cli.options import speaks

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
_STEP = click.option("--step", help="Which step, when several wait for a word.")
# verb: what it does, and what it takes beside a reason
_VERBS: Mapping[str, tuple[str, Sequence[Option]]] = {
    "start": ("Start one that waits for its start.", (_STEP,)),
    "approve": (
        "Let a step that waits for approval go on.",
        (
            _STEP,
            click.option(
                "--plan-hash",
                help="Of the plan that was looked at; without it: of the present one. Refused when it is another.",
            ),
        ),
    ),
    "reject": ("Refuse a step that waits for a word.", (_STEP,)),
    "extend": (
        "Let a step wait longer for its word.",
        (_STEP, click.option("--seconds", type=click.FloatRange(0, 86400, min_open=True), required=True)),
    ),
    "pause": ("Stand still at the next step boundary.", ()),
    "resume": ("Go on after a pause.", ()),
    "cancel": (
        "End after what is in flight.",
        (click.option("--undo", is_flag=True, default=None, help="Also undo what was done."),),
    ),
    "rollback": (
        "Undo what was done.",
        (click.option("--step", help="Back to this step, which stays."),),
    ),
    "retry": (
        "Do again what failed or was undone.",
        (click.option("--set", "patches", multiple=True, metavar="STEP.NAME=JSON", help="Another value; repeatable."),),
    ),
    "skip-step": ("Leave a step out that has not begun.", (click.option("--step", required=True),)),
    "set-priority": (
        "Take another place in line.",
        (click.option("--priority", type=click.IntRange(1, 9), required=True, help="1 goes first."),),
    ),
}


@click.group()
def workflows() -> None:
    """List workflows, watch one, tell one what to do."""


@workflows.command("list")
@click.option("--status", help="Only those that stand there.")
@click.option("--namespace", help="Only those of alerts in this namespace.")
@click.option("--stuck", is_flag=True, default=None, help="Only those that do not get on.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True)
@speaks
def listed(service: Service, output: str, **asked: object) -> None:
    """The newest workflows."""
    query = {name: str(value).lower() if isinstance(value, bool) else value for name, value in asked.items()}
    found = service.call("GET", "api", "v1", "workflows", query=query)
    if output == "json":
        showing.as_json(found)
    else:
        showing.table(found["workflows"], showing.WORKFLOWS)


@workflows.command()
@click.argument("workflow_id")
@speaks
def show(service: Service, output: str, workflow_id: str) -> None:
    """One workflow whole."""
    found = service.call("GET", "api", "v1", "workflows", workflow_id)
    if output == "json":
        showing.as_json(found)
        return
    from rich.console import Console

    from workflow_service.cli.tree import tree

    Console().print(tree(found))


@workflows.command()
@click.argument("workflow_id")
@speaks
def watch(service: Service, output: str, workflow_id: str) -> None:
    """Watch a workflow until it ends: a live tree, or a line of JSON for each change. Exit 4 when it is no success."""
    status = (_lines if output == "json" else _live)(service, workflow_id)
    if status != "completed":
        sys.exit(NOT_COMPLETED)


def _live(service: Service, workflow_id: str) -> str:
    from rich.console import Console
    from rich.live import Live

    from workflow_service.cli.tree import tree

    console, looks = Console(), following(service, workflow_id)
    found = next(looks)
    with Live(tree(found), console=console, auto_refresh=False) as live:
        for found in looks:
            live.update(tree(found), refresh=True)
    if not console.is_terminal:
        console.line()  # which `Live` leaves out there
    return str(found["status"])


def _lines(service: Service, workflow_id: str) -> str:
    told = 0
    for found in following(service, workflow_id):
        for event in found["events"][told:]:
            click.echo(json.dumps(event))
        told = len(found["events"])
    return str(found["status"])


def _tell(verb: str, service: Service, output: str, workflow_id: str, **given: object) -> None:
    patches = given.pop("patches", None)
    body = {name: value for name, value in given.items() if value is not None}
    if patches:
        body["parameters"] = _patched(patches)
    if verb == "approve" and "plan_hash" not in body:
        body |= _plan_of(service, workflow_id)
    found = service.call("POST", "api", "v1", "workflows", workflow_id, verb, body=body)
    if output == "json":
        showing.as_json(found)
        return
    which = f" (plan {body['plan_hash']})" if "plan_hash" in body else ""
    click.echo(f"{verb}: {found['outcome']}; {found['workflow_id']} is {found['status']}{which}")


def _plan_of(service: Service, workflow_id: str) -> dict[str, object]:
    """The plan that is there now: one that comes between this look and the word is not approved by it."""
    found = service.call("GET", "api", "v1", "workflows", workflow_id)
    plan = found["result"]["execution_details"]["plan"]
    return {"plan_hash": plan["hash"]} if plan else {}


def _patched(patches: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for patch in patches:
        path, equals, text = patch.partition("=")
        step, dot, name = path.rpartition(".")
        try:
            value = json.loads(text)
        except ValueError:
            value = None
            equals = ""
        if not (equals and dot and step and name):
            raise click.BadParameter(f"{patch!r} must be STEP.NAME=JSON, such as scale.replicas=4", param_hint="--set")
        found.setdefault(step, {})[name] = value
    return found


def _command(verb: str, about: str, options: Sequence[Option]) -> click.Command:
    def tell(service: Service, output: str, workflow_id: str, **given: object) -> None:
        _tell(verb, service, output, workflow_id, **given)

    tell.__name__, tell.__doc__ = verb, about
    command: Any = speaks(tell)
    for option in (*options, click.option("--reason", help="Why; it is kept with who and when.")):
        command = option(command)
    named: click.Command = workflows.command(verb)(click.argument("workflow_id")(command))
    return named


for _verb, (_about, _options) in _VERBS.items():
    _command(_verb, _about, _options)
