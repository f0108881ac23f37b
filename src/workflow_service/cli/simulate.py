"""`workflow-service simulate`: what would happen, asked of a running service and shown to people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import click

from workflow_service.cli.calling import NOT_COMPLETED, REFUSED, Failed, Service
from workflow_service.cli.options import speaks
from workflow_service.cli.showing import Column, Row, as_json, printable, shortened, table

_FORMS = frozenset({"alert", "template", "workflow_id", "plan"})
_STEPS: Sequence[Column] = (
    ("begins", lambda row: "-" if row["begins_after"] is None else f"{row['begins_after']:g}s"),
    ("step", lambda row: row["id"]),
    ("action", lambda row: row["type"] or row["kind"]),
    ("status", lambda row: row["status"]),
    ("undo", lambda row: _undo(row["undo"])),
    ("message", lambda row: shortened(row["message"], 100)),
)
_CHANGES: Sequence[Column] = (
    ("step", lambda row: row["step"]),
    ("object", lambda row: f"{row.get('kind')} {row.get('namespace') or '-'}/{row.get('name')}"),
    ("field", lambda row: row.get("field")),
    ("before", lambda row: _short(row.get("before"))),
    ("after", lambda row: _short(row.get("after"))),
)
_FINDINGS: Sequence[Column] = (
    ("rule", lambda row: row["rule"]),
    ("word", lambda row: row["word"]),
    ("why", lambda row: row["why"]),
)
_UNKNOWN: Sequence[Column] = (
    ("step", lambda row: row["step"]),
    ("not known", lambda row: row["what"]),
    ("why", lambda row: row["why"]),
)


@click.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--advise/--no-advise", default=True, help="Whether an advisor is asked as in real planning.")
@speaks
def simulate(service: Service, output: str, file: BinaryIO, *, advise: bool) -> None:
    """Tell what would happen about FILE (default: stdin): an alert, or a body of POST /api/v1/simulate, as JSON.

    Nothing is changed. Exit 4: it would not end `completed`, or there was no time for all of it.
    """
    found = service.call("POST", "api", "v1", "simulate", body=_body(file.read(), advise=advise))
    if output == "json":
        as_json(found)
    else:
        _tell(found)
    sys.exit(0 if found["status"] == "completed" else NOT_COMPLETED)


def _body(raw: bytes, *, advise: bool) -> Mapping[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise Failed(f"the file is not JSON: {error}", code=REFUSED) from None
    if not isinstance(document, dict):
        raise Failed("the file must hold a JSON object", code=REFUSED)
    asked = document if _FORMS & document.keys() else {"alert": document}
    return asked if advise else {**asked, "advise": False}


def _tell(found: Mapping[str, Any]) -> None:
    for line in _head(found):
        click.echo(printable(line))
    sections: Sequence[tuple[str, Sequence[Row], Sequence[Column]]] = (
        ("guardrails", [one for one in found["guardrails"]["findings"] if one["word"] != "allowed"], _FINDINGS),
        ("steps", found["steps"], _STEPS),
        ("changes", list(_changes(found["steps"])), _CHANGES),
        ("only a real run tells", found["unknown"], _UNKNOWN),
    )
    for name, rows, columns in sections:
        if rows:
            click.echo(f"\n{name}")
            table(rows, columns)


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    admission, plan = found["admission"], found["plan"]
    if admission is not None:
        yield f"the alert would be {admission['outcome']}" + (f": {admission['reason']}" if admission["reason"] else "")
    yield f"plan {found['plan_hash'][:12]} of {plan['rule']} ({plan['creation_method']}): {plan['reason']}"
    if found["complete"]:
        why = found["cause"] or found["reason"]
        yield f"would end {found['status']} after {found['duration']['seconds']:g} s" + (f": {why}" if why else "")
    else:
        yield f"not walked to its end: {found['stopped']}"
    for one in found["approvals"]:
        yield f"would wait for a person's word, {one['within']:g} s at most: {one['step']}"


def _changes(steps: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for step in steps:
        for change in (step["dry_run"] or {}).get("changes", ()):
            yield {"step": step["id"], **change}


def _undo(undo: Mapping[str, Any] | None) -> str:
    if undo is None:
        return ""
    if undo["available"]:
        return str(undo["by"])
    return f"none: {undo['why_not']}" if undo["available"] is False else "not known"


def _short(value: object) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), 60)
