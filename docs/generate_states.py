"""Writes docs/states.md, the page about the state machines, from the tables in `workflow_service.domain`.

Run it after changing a table: `python docs/generate_states.py`. A test fails while the page is stale.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from workflow_service.domain.controls import ALLOWED
from workflow_service.domain.states import EXECUTION, STEP, UNDO, RollbackStatus, Verb

PAGE = Path(__file__).with_name("states.md")
_MACHINES: tuple[tuple[str, str, Mapping[Any, frozenset[Any]]], ...] = (
    (
        "Execution",
        "Where one durable run of one plan stands. Final means final: a retry is a new execution.",
        EXECUTION,
    ),
    ("Step", "Where one step of the plan stands, all its attempts together.", STEP),
    ("Undo", "What can be, is being or was done about the changes of one attempt.", UNDO),
)


def render() -> str:
    """The whole page."""
    lines = [
        "# States",
        "",
        "Generated from `src/workflow_service/domain/states.py` by `docs/generate_states.py`; do not edit.",
        "A move that is not shown here is refused and changes nothing.",
    ]
    for title, meaning, table in _MACHINES:
        lines += ["", f"## {title}", "", meaning, "", *_diagram(table), "", *_rows(table)]
    lines += ["", *_verbs()]
    beside = ", ".join(f"`{status.value}`" for status in RollbackStatus)
    lines += ["", "## Rollback", "", f"Beside the final status of an execution, what became of its rollback: {beside}."]
    return "\n".join(lines) + "\n"


def _verbs() -> Iterator[str]:
    yield "## Verbs"
    yield ""
    yield "What may be commanded, as far as the status decides; [controls.md](controls.md) says what else must hold."
    yield ""
    yield "| execution | verbs |"
    yield "|---|---|"
    for status in EXECUTION:
        words = ", ".join(f"`{verb}`" for verb in Verb if verb in ALLOWED[status]) or "none"
        yield f"| `{status.value}` | {words} |"


def _diagram(table: Mapping[Any, frozenset[Any]]) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {next(iter(table)).value}"
    for status, onward in table.items():
        yield from (f"    {status.value} --> {to.value}" for to in _in_order(table, onward))
        if not onward:
            yield f"    {status.value} --> [*]"
    yield "```"


def _rows(table: Mapping[Any, frozenset[Any]]) -> Iterator[str]:
    yield "| status | may become |"
    yield "|---|---|"
    for status, onward in table.items():
        words = ", ".join(f"`{to.value}`" for to in _in_order(table, onward)) or "final"
        yield f"| `{status.value}` | {words} |"


def _in_order(table: Mapping[Any, frozenset[Any]], onward: frozenset[Any]) -> list[StrEnum]:
    return [status for status in table if status in onward]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
