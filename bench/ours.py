"""One measurement of our engine: a whole replica but for HTTP; its executor is a no-op and its plans are given.

An alert is stored and admitted as the API does it, planned, and run; its lane goes on when its execution has ended. Log
lines are made as in production (level info) and thrown away.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvloop
from bench.measuring import Reading, Task, measure, print_reading, task_from_arguments

from workflow_service.app import Replica
from workflow_service.domain.alert import Alert, alert_from_json
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.plan import Action, Plan, Step
from workflow_service.domain.states import ExecutionStatus
from workflow_service.domain.target import Target
from workflow_service.engine.means import Means
from workflow_service.garbage import search_seldom
from workflow_service.intake.intake import Delivery
from workflow_service.ports import ActionOutcome, ActionRequest, NeverSeen, Observation
from workflow_service.settings import Settings, load
from workflow_service.store.tables import executions, workflows
from workflow_service.telemetry.log import configure

CLUSTER, LEDGER = "default", "bench-ledger"
LOOK = 5.0  # seconds a lane waits for a wake-up before it looks by itself
LIMIT = 60.0  # seconds that one workflow may take
_ENDED = sa.select(executions.c.ended_at).where(executions.c.id == sa.bindparam("id"))
_NEWEST = sa.select(workflows.c.execution_id).where(workflows.c.id == sa.bindparam("id"))


class NoOpExecutor:
    """`ports.Executor` that is done at once and notes when each workflow's first action came."""

    def __init__(self) -> None:
        self.calls = 0
        self.first_call: dict[str, float] = {}

    async def ledger_id(self) -> str | None:
        """One ledger for ever."""
        return LEDGER

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """Done."""
        self.calls += 1
        self.first_call.setdefault(request.workflow_id, time.perf_counter())
        return ActionOutcome("completed", "done", action_id=request.key, result={"ok": True}, ledger_id=LEDGER)

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """Never asked: nothing stays unanswered here."""
        raise AssertionError(key)

    async def cancel(self, key: str) -> ActionOutcome:
        """Never asked: nothing is late here."""
        raise AssertionError(key)

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """Never asked: plans are handed over ready."""
        raise AssertionError

    async def observe(self, target: Target) -> Observation:
        """Never asked: plans are handed over ready."""
        raise AssertionError(target)

    async def measure(self, promql: str) -> Observation:
        """Never asked: the plans have no conditions."""
        raise AssertionError(promql)

    async def healthy(self) -> bool:
        """Always."""
        return True


class House(Replica):
    """A replica as the composition root makes it, but for its executor and its plans; and one lane's way through it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.starts: list[float] = []
        self.hand = NoOpExecutor()
        super().__init__(_settings(task), executor=self.hand)

    async def run_one(self) -> None:
        """One alert from its delivery to its execution's end.

        Raises:
            RuntimeError: it was not admitted.
            TimeoutError: it did not end in time.
        """
        name = uuid.uuid4().hex
        alert = alert_from_json(
            {"name": "HighCPUUsage", "severity": "critical", "namespace": "production", "resource": f"pod/{name}"}
        )
        (alert_id,) = await self.intake.store(Delivery(body=b"{}", route="/bench"), [alert])
        outcome = await self.intake.decide(alert_id)
        admitted = time.perf_counter()
        if outcome.workflow_id is None or outcome.outcome != "admitted":
            raise RuntimeError(f"alert {alert_id} was not admitted but {outcome.outcome}: {outcome.reason}")
        async with asyncio.timeout(LIMIT):
            await self.ended(await self._execution_of(outcome.workflow_id))
        self.starts.append(max(0.0, self.hand.first_call[outcome.workflow_id] - admitted))

    async def ended(self, execution_id: str) -> None:
        """Wait as the API does, for the wake-up and by looking now and then, but with the cheapest look there is."""
        while not await self.bus.wait(f"execution:{execution_id}", timeout=LOOK):
            async with self.database.read() as connection:
                if await connection.scalar(_ENDED, {"id": execution_id}) is not None:
                    return

    async def _execution_of(self, workflow_id: str) -> str:
        async with self.database.read() as connection:
            return str(await connection.scalar(_NEWEST, {"id": workflow_id}))

    async def check(self) -> None:
        """Everything was done, once.

        Raises:
            RuntimeError: it was not; the measurement is void.
        """
        workflows = self.task.workflows + self.task.warm_up
        done = executions.c.status == ExecutionStatus.COMPLETED, executions.c.actions_ended == self.task.steps
        async with self.database.read() as connection:
            completed = await connection.scalar(sa.select(sa.func.count()).where(*done))
        if completed != workflows or self.hand.calls != workflows * self.task.steps:
            raise RuntimeError(f"{completed} of {workflows} completed, {self.hand.calls} calls")

    def _means(self, replica: str) -> Means:
        async def plan_for(alert: Alert, _ordered: object) -> tuple[Plan, None, None, tuple[Plan, ...]]:
            return sequence(self.task.steps, about=str(alert.resource)), None, None, ()

        site = replace(self.sites.own, plan_for=plan_for)
        return replace(super()._means(replica), site=site, site_of=lambda _alert: site)


def _settings(task: Task) -> Settings:
    url = sa.make_url(task.url)
    store = (
        {"DATA_DIR": str(Path(str(url.database)).parent)}
        if url.get_backend_name() == "sqlite"
        else {"DATABASE_URL": task.url}
    )
    unlimited = ("STORM_IN_NAMESPACE", "STORM_IN_CLUSTER", "BUDGET_IN_NAMESPACE", "BUDGET_IN_CLUSTER")
    limits = {"MAX_CONCURRENT_WORKFLOWS": str(task.concurrency), **dict.fromkeys(unlimited, "0")}
    return load({**limits, **store, "POLICY_FILE": str(Path(__file__).parent / "policy.yaml")})


def sequence(length: int, *, about: str = "web") -> Plan:
    """A plan of that many steps, each of which waits for the one before; all change the target called `about`."""
    target = Target(cluster=CLUSTER, kind="Deployment", name=about, namespace="production")
    action = Action("scale_deployment", {"replicas": 3}, target)
    steps = tuple(
        Step(f"step-{number}", action, needs=(f"step-{number - 1}",) if number else ()) for number in range(length)
    )
    return Plan(steps=steps, reason="measured", creation_method="fallback")


def main() -> None:
    """Measure and print."""
    with Path(os.devnull).open("wb", buffering=0) as nowhere:
        configure("info", file=nowhere)
        print_reading(uvloop.run(_measure(task_from_arguments())))


async def _measure(task: Task) -> Reading:
    house = House(task)
    async with house.lifespan(house.app):
        search_seldom()
        reading = await measure(task, house.run_one, house.starts)
        await house.check()
    return reading


if __name__ == "__main__":
    main()
