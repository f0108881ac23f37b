"""An executor that does not answer delays steps and fails none: its breaker opens, and closes by one probe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.replica import act, eventually, kinds, replica, rules_of, steps
from tests.support.scripted_executor import ScriptedExecutor
from workflow_service.clients.breaker import BreakingExecutor
from workflow_service.domain.breaker import Breaker, BreakerState
from workflow_service.domain.errors import Unreachable
from workflow_service.ports import Executor

PAUSE = 0.3  # seconds instead of 30


@dataclass
class Between:
    """Puts a breaker between a replica and its executor, and keeps what it did."""

    moves: list[BreakerState] = field(default_factory=list)

    def __call__(self, executor: Executor) -> Executor:
        """What the replica gets for its executor."""
        return BreakingExecutor(executor, on_change=self.moves.append, breaker=Breaker(pause=PAUSE))


@pytest.mark.requirement("BR-WF-001")
async def test_steps_are_held_while_it_is_open(tmp_path: Path) -> None:
    """Away: the breaker opens, the step is held and nothing fails. Back: one probe, and the workflow completes."""
    executor, between = ScriptedExecutor(away=True), Between()
    rules = rules_of(tmp_path, act("cure"))
    alert = {"name": "Trouble", "severity": "warning"}  # no target: planning does not wait for a look
    async with replica(tmp_path, executor, through=between, RULES_FILE=rules) as running:
        for _ in range(5):
            with pytest.raises(Unreachable):
                await running.parts.sites.own.executor.ledger_id()
        assert between.moves == [BreakerState.OPEN]
        workflow_id = await running.begin(alert)
        found = await running.until(workflow_id, lambda found: "Held" in kinds(found), "the workflow is held")
        assert (found["status"], steps(found)["cure"]["status"]) == ("running", "pending")
        await eventually(lambda: between.moves.count(BreakerState.HALF_OPEN) >= 2, "it is tried again, in vain")
        executor.away = False
        found = await running.ended(workflow_id)
    assert found["status"] == "completed"
    assert kinds(found, "cure") == ["StepStarted", "StepSucceeded"]
    assert between.moves[-2:] == [BreakerState.HALF_OPEN, BreakerState.CLOSED]


async def test_health_and_metrics_show_it(tmp_path: Path) -> None:
    """Where the breaker stands is in the health and in the metrics."""
    executor, between = ScriptedExecutor(away=True), Between()
    async with replica(tmp_path, executor, through=between) as running:
        health = (await running.http.get("/health")).json()
        assert health["circuit_breakers"] == {"executor": "closed"}
        metrics = (await running.http.get("/metrics")).text
    assert 'workflow_service_circuit_breaker_state{downstream="executor"} 0.0' in metrics
    assert 'workflow_service_circuit_breaker_transitions_total{downstream="executor",to="open"} 0.0' in metrics
