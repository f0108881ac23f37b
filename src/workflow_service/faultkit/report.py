"""The result for people and for machines: the promises, the faults with what became of those they struck, the times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workflow_service.faultkit.faults import Disturbance, Fault, Mishap, Tally
from workflow_service.faultkit.stories import Story
from workflow_service.faultkit.verdict import Verdict

SHOWN = 20  # offences of a kind that are printed; the JSON has all
_SHORT = {"partially_completed": "partial"}
SLOWEST = 5  # workflows whose history the JSON has
PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a run has found."""

    verdict: Verdict
    tally: Tally
    stories: Sequence[Story]
    ended_by_themselves: Sequence[str]
    seconds: float
    command: str


def as_json(report: Report) -> dict[str, Any]:
    """For machines."""
    counts = {name: len(found) for name, found in report.verdict.lines.items()}
    return {
        **counts,
        "offences": {name: [asdict(one) for one in found] for name, found in report.verdict.lines.items()},
        "workflows": len(report.stories),
        "outcomes": dict(_outcomes(report.stories)),
        "faults": [
            {"fault": fault, "times": report.tally.times[fault], "outcomes": dict(_struck(report, fault))}
            for fault in report.tally.times
        ],
        "skipped": {str(fault): why for fault, why in report.tally.skipped.items()},
        "ended_by_themselves": list(report.ended_by_themselves),
        "seconds_to_end": _percentiles(report.stories),
        "slowest": [_slow(story) for story in _slowest(report.stories)],
        "seconds": round(report.seconds, 1),
        "repeat": report.command,
    }


def as_text(report: Report) -> str:
    """For people."""
    lines: list[str] = []
    for name, found in report.verdict.lines.items():
        lines.append(f"{name}: {len(found)}")
        lines += [f"  {one.who}: {one.what}" for one in found[:SHOWN]]
        lines += [f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    lines += ["", *_table(report), ""]
    times = ", ".join(f"{name} {value:.1f} s" for name, value in _percentiles(report.stories).items())
    lines.append(f"from the alert to the end: {times}")
    slowest = (f"{one.workflow_id} ({one.status}, {one.seconds or math.inf:.1f} s)" for one in _slowest(report.stories))
    lines.append(f"slowest: {', '.join(slowest)}")
    if report.ended_by_themselves:
        lines.append(f"ended by themselves and were started again: {', '.join(report.ended_by_themselves)}")
    lines.append(f"{len(report.stories)} workflows in {report.seconds:.0f} s; again: {report.command}")
    return "\n".join(lines)


def _table(report: Report) -> list[str]:
    """Faults x times injected x how those ended that were open at that moment, or were struck themselves."""
    all_ = _outcomes(report.stories)
    columns = [status for status, _ in all_.most_common()]
    rows = [["fault", "times", *(_SHORT.get(status, status) for status in columns)]]
    for fault in (*Disturbance, *Mishap):
        if fault in report.tally.skipped:
            rows.append([fault, f"skipped: {report.tally.skipped[fault]}"])
        else:
            outcomes = _struck(report, fault)
            rows.append([fault, str(report.tally.times[fault]), *(str(outcomes[status]) for status in columns)])
    rows.append(["all workflows", "", *(str(all_[status]) for status in columns)])
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    full = [row for row in rows if len(row) == len(rows[0])]
    widths = [max(len(row[column]) for row in full) for column in range(len(rows[0]))]
    first = max(len(row[0]) for row in rows)
    return [
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False))])
        for row in rows
    ]


def _outcomes(stories: Sequence[Story]) -> Counter[str]:
    return Counter(story.status for story in stories)


def _struck(report: Report, fault: Fault) -> Counter[str]:
    struck = report.tally.struck[fault]
    return _outcomes([story for story in report.stories if story.executions & struck])


def _slowest(stories: Sequence[Story]) -> list[Story]:
    return sorted(stories, key=lambda story: story.seconds or math.inf, reverse=True)[:SLOWEST]


def _slow(story: Story) -> dict[str, Any]:
    shown = {"workflow_id": story.workflow_id, "seconds": story.seconds, "status": story.status}
    return {**shown, "reason": story.reason, "cause": story.cause, "history": story.history}


def _percentiles(stories: Sequence[Story]) -> Mapping[str, float]:
    """Nearest rank, in seconds."""
    took = sorted(one.seconds for one in stories if one.seconds is not None)
    if not took:
        return {}
    return {f"p{rank}" if rank < 100 else "max": took[math.ceil(rank / 100 * len(took)) - 1] for rank in PERCENTILES}
