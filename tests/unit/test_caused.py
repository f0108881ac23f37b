"""What it means for a run that an alert has begun after its change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.factories import a_graph, a_run, a_step, at, started, succeeded
from workflow_service.domain import events as ev
from workflow_service.domain.decide import decide
from workflow_service.domain.decisions import Finish
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.stored_events import event_from_json, event_to_json

pytestmark = [pytest.mark.requirement("BR-WF-001")]

ONE = a_graph(a_step("a"))
CHANGE = ({"kind": "Deployment", "name": "web", "field": "/spec/replicas", "before": 1, "after": 2},)
CRASHES = ev.AlertCaused(at(9), "f9", "CrashLooping", "critical", since=at(8))


def last_word(*events: ev.Event, changes: tuple[dict[str, object], ...] = CHANGE) -> tuple[str, str, str]:
    """How a run of one action ends in which these things happened beside."""
    done = replace(succeeded("a"), changes=changes)
    [finish] = decide(ONE, a_run(ONE, started("a"), done, *events), at(20)).actions
    assert isinstance(finish, Finish)
    return finish.status, finish.reason, finish.cause


def test_a_critical_alert_after_a_change_is_no_success() -> None:
    """It is told with its name and its beginning; nothing is undone, for it is no proof."""
    status, reason, cause = last_word(CRASHES)
    assert (status, reason) == (ExecutionStatus.PARTIALLY_COMPLETED, "caused_alert")
    assert cause == f"alert CrashLooping (critical) has fired since {at(8).isoformat()}, after the change"


@pytest.mark.parametrize(
    "word",
    [
        replace(CRASHES, severity="warning"),
        replace(CRASHES, since=at(-1)),
        replace(CRASHES, over=True),
    ],
)
def test_what_does_not_count(word: ev.AlertCaused) -> None:
    """One that is not critical, began before the change, or is over by the end; the last word about each counts."""
    assert last_word(word)[0] == ExecutionStatus.COMPLETED
    assert last_word(CRASHES, replace(CRASHES, over=True))[0] == ExecutionStatus.COMPLETED
    assert last_word(CRASHES, replace(CRASHES, fingerprint="f8", over=True))[1] == "caused_alert"


def test_who_has_changed_nothing_has_caused_nothing() -> None:
    """A run that only looked, or told somebody, is not spoken against."""
    assert last_word(CRASHES, changes=())[0] == ExecutionStatus.COMPLETED


def test_it_is_kept() -> None:
    """The journal gives back what was written."""
    assert event_from_json("AlertCaused", CRASHES.at, _through_json(event_to_json(CRASHES))) == CRASHES


def _through_json(data: dict[str, object]) -> dict[str, object]:
    return {**data, "since": at(8).isoformat()}
