"""The state tables are complete, every way leads to an end, and the page about them is fresh."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from docs.generate_states import PAGE, render

from workflow_service.domain import states
from workflow_service.domain.errors import IllegalTransition
from workflow_service.domain.states import ExecutionStatus, StepStatus, UndoStatus, move

Table = Mapping[Any, frozenset[Any]]
MACHINES = [(states.EXECUTION, ExecutionStatus), (states.STEP, StepStatus), (states.UNDO, UndoStatus)]
FIRST = {ExecutionStatus: ExecutionStatus.CREATED, StepStatus: StepStatus.PENDING, UndoStatus: UndoStatus.NONE}


def reachable(table: Table, start: Any) -> set[Any]:
    """Every status that some way from `start` leads to, itself included."""
    found, waiting = {start}, [start]
    while waiting:
        onward = table[waiting.pop()] - found
        found |= onward
        waiting.extend(onward)
    return found


@pytest.mark.parametrize(("table", "statuses"), MACHINES)
def test_every_status_has_a_row(table: Table, statuses: Any) -> None:
    """The table names each status of its machine once, and leads to no other machine's."""
    assert set(table) == set(statuses)
    assert all(onward <= set(statuses) for onward in table.values())


@pytest.mark.parametrize(("table", "statuses"), MACHINES)
def test_every_status_can_be_reached(table: Table, statuses: Any) -> None:
    """No status is beyond reach of the first one."""
    assert reachable(table, FIRST[statuses]) == set(statuses)


@pytest.mark.requirement("BR-WF-004")
@pytest.mark.parametrize(("table", "statuses"), MACHINES)
def test_every_way_can_end(table: Table, statuses: Any) -> None:
    """From every status some final one can be reached."""
    final = {status for status in statuses if not table[status]}
    assert all(reachable(table, status) & final for status in statuses)


def test_the_final_statuses_are_the_designs() -> None:
    """Final is exactly what the design calls so."""
    names = "completed partially_completed failed cancelled timed_out rejected resolved rolled_back"
    assert {status.value for status in states.FINAL_EXECUTION} == set(names.split())
    steps = "succeeded failed blocked skipped cancelled unknown"
    assert {status.value for status in states.FINAL_STEP} == set(steps.split())
    assert set(ExecutionStatus) - states.FINAL_EXECUTION == states.ACTIVE_EXECUTION


def test_only_a_rollback_ends_as_rolled_back_without_running() -> None:
    """Nothing is `completed` or `rolled_back` before something could have been done."""
    effects = {ExecutionStatus.COMPLETED, ExecutionStatus.PARTIALLY_COMPLETED, ExecutionStatus.ROLLED_BACK}
    for status in (ExecutionStatus.CREATED, ExecutionStatus.PLANNING, ExecutionStatus.QUEUED):
        assert not effects & states.EXECUTION[status]


@pytest.mark.parametrize(("table", "statuses"), MACHINES)
def test_move_allows_what_the_table_has_and_nothing_else(table: Table, statuses: Any) -> None:
    """Every cell: a move in the table gives the new status, any other raises and names both."""
    for now in statuses:
        for to in statuses:
            if to in table[now]:
                assert move(table, now, to) is to
            else:
                with pytest.raises(IllegalTransition, match=f"from {now.value} to {to.value}"):
                    move(table, now, to)


def test_the_page_about_the_states_is_fresh() -> None:
    """docs/states.md is what docs/generate_states.py makes of the tables."""
    assert Path(PAGE).read_text(encoding="utf-8") == render(), "run: python docs/generate_states.py"
