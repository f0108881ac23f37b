"""Every setting changes what the service does: each test would fail with the setting's default."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import HIGH_CPU, Running, act, eventually, kinds, replica, rules_of, steps
from tests.support.rows import eventually as within
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

SLOW = Answer(slow=True)


def alert(number: int) -> dict[str, Any]:
    """One of many alerts about different deployments."""
    return {"name": "Trouble", "severity": "warning", "namespace": "shop", "resource": f"deployment/web-{number}"}


async def age(directory: Path, workflow_id: str, time: str) -> None:
    """Make an execution end long ago."""

    def send() -> None:  # in a thread: the replica holds the write lock across awaits
        with closing(sqlite3.connect(directory / "data" / "workflow-service.sqlite", timeout=20)) as connection:
            statement = f"UPDATE executions SET ended_at = datetime('now', '{time}') WHERE workflow_id = ?"  # noqa: S608
            connection.execute(statement, (workflow_id,))
            connection.commit()

    await asyncio.to_thread(send)


async def test_max_concurrent_workflows(tmp_path: Path) -> None:
    """With one slot the second workflow is planned and queued, and begins when the first has ended."""
    executor = ScriptedExecutor()
    executor.script("cure", SLOW, SLOW)
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_CONCURRENT_WORKFLOWS="1") as running:
        ids = [await running.begin(alert(number)) for number in range(2)]
        for workflow_id in ids:
            await running.until(workflow_id, lambda found: "Planned" in kinds(found), "it is planned")
        await eventually(executor.running, "one runs")
        assert sorted([(await running.detail(one))["status"] for one in ids]) == ["queued", "running"]
        executor.finish()
        await eventually(lambda: len(executor.sent) == 2, "the other begins")
        executor.finish()
        for workflow_id in ids:
            await running.ended(workflow_id)
    assert executor.most_at_once == 1


async def test_workflow_execution_timeout(tmp_path: Path) -> None:
    """The plan is bound by it, and by the number of steps when it is `auto`."""
    rules = rules_of(tmp_path, act("cure"))
    for given, seconds in (("90s", 90.0), ("auto", 600.0)):
        directory = tmp_path / given
        directory.mkdir()
        async with replica(directory, ScriptedExecutor(), RULES_FILE=rules, WORKFLOW_EXECUTION_TIMEOUT=given) as one:
            result = await one.result(HIGH_CPU)
        assert result["execution_details"]["plan"]["timeout_seconds"] == seconds


async def test_parallel_execution_enabled(tmp_path: Path) -> None:
    """Switched off: plan order, one by one, though nothing needs anything."""
    executor = ScriptedExecutor()
    rules = rules_of(tmp_path, act("c"), act("a"), act("b"))
    async with replica(tmp_path, executor, RULES_FILE=rules, PARALLEL_EXECUTION_ENABLED="false") as running:
        result = await running.result(HIGH_CPU)
    assert [order.step_id for order in executor.sent] == ["c", "a", "b"]
    assert result["execution_details"]["plan"]["waves"] == [["c"], ["a"], ["b"]]


async def test_max_parallel_actions(tmp_path: Path) -> None:
    """More than the default of five run side by side when it allows them."""
    names = [f"step-{number}" for number in range(7)]
    executor = ScriptedExecutor()
    for name in names:
        executor.script(name, SLOW)
    rules = rules_of(tmp_path, *(act(name) for name in names))
    async with replica(tmp_path, executor, RULES_FILE=rules, MAX_PARALLEL_ACTIONS="7") as running:
        workflow_id = await running.begin(HIGH_CPU)
        await eventually(lambda: len(executor.running()) == 7, "all run")
        executor.finish()
        await running.ended(workflow_id)


async def test_action_timeout(tmp_path: Path) -> None:
    """An action whose type and rule name no time-out is cancelled after it."""
    executor = ScriptedExecutor()
    executor.script("cure", SLOW)
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("cure")), ACTION_TIMEOUT="1s") as running:
        result = await running.result(HIGH_CPU)
    assert executor.cancelled == [f"{result['execution_id']}:cure"]
    assert steps(result)["cure"]["error_class"] == "timeout"
    assert result["status"] == "failed"


@pytest.mark.parametrize("retries", [0, 1])
async def test_retry_attempts(tmp_path: Path, retries: int) -> None:
    """So often is a passing failure tried again, and not once more."""
    executor = ScriptedExecutor()
    executor.script("cure", *[failing(ErrorClass.TRANSIENT, "busy")] * 5)
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules, RETRY_ATTEMPTS=str(retries)) as running:
        result = await running.result(HIGH_CPU)
    assert len(executor.sent) == 1 + retries
    assert result["abort_reason"] == "Critical action cure failed: busy"


async def test_coordination_timeout(tmp_path: Path) -> None:
    """No step takes longer with all its attempts: retries that would begin later do not happen."""
    executor = ScriptedExecutor()
    executor.script("cure", *[failing(ErrorClass.TRANSIENT)] * 20)
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules, RETRY_ATTEMPTS="20", COORDINATION_TIMEOUT="1s") as running:
        result = await running.result(HIGH_CPU)
    assert result["status"] == "failed"
    assert len(executor.sent) <= 2
    assert all(order.remaining_seconds <= 1 for order in executor.sent)


async def test_rollback_enabled(tmp_path: Path) -> None:
    """Switched off: a critical failure stops, nothing is undone, and nothing claims that it should have been."""
    executor = ScriptedExecutor()
    executor.script("two", failing(ErrorClass.PERMANENT))
    rules = rules_of(tmp_path, act("one"), act("two", needs=["one"]))
    async with replica(tmp_path, executor, RULES_FILE=rules, ROLLBACK_ENABLED="false") as running:
        result = await running.result(HIGH_CPU)
        health = (await running.http.get("/health")).json()
    assert [order.step_id for order in executor.sent] == ["one", "two"]
    assert (result["status"], result["rollback_initiated"]) == ("failed", False)
    assert result["workflow_result"]["rollback"] == "none"
    assert health["components"]["rollback"] is False


async def test_recovery_enabled(tmp_path: Path) -> None:
    """Switched off, no other way is asked for, and the plan is the one that it would be without any."""
    executor = ScriptedExecutor()
    executor.script("cure", failing(ErrorClass.PERMANENT))
    other = {"name": "other", "reason": "it may help", "actions": [act("again", on="target")]}
    rules = rules_of(tmp_path, act("cure", on="target"), recovery=[other])
    async with replica(tmp_path, executor, RULES_FILE=rules, RECOVERY_ENABLED="false") as running:
        result = await running.result(HIGH_CPU)
    assert result["status"] == "failed"
    assert result["execution_details"]["recoveries"] == []
    assert [order.step_id for order in executor.sent] == ["cure"]


async def test_state_retention_period_and_monitoring_interval(tmp_path: Path) -> None:
    """What ended longer ago than that loses its journal, at the pace of the monitoring; the rest keeps it."""
    rules = rules_of(tmp_path, act("cure"))
    async with replica(
        tmp_path, ScriptedExecutor(), RULES_FILE=rules, STATE_RETENTION_PERIOD="1h", MONITORING_INTERVAL="100ms"
    ) as running:
        old, young = [(await running.result(alert(number)))["workflow_id"] for number in range(2)]
        await age(tmp_path, old, "-2 hours")
        await age(tmp_path, young, "-30 minutes")
        found = await running.until(old, lambda found: not found["events"], "the old one is forgotten")
        assert found["status"] == "completed"
        assert (await running.detail(young))["events"]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["DELIVERY_RETENTION"], (1, 1, 0)),
        (["AUDIT_RETENTION"], (1, 0, 1)),
        (["OUTCOME_RETENTION", "AUDIT_RETENTION"], (0, 0, 1)),
    ],
    ids=["deliveries", "audit", "outcomes"],
)
async def test_retention_by_class(tmp_path: Path, names: list[str], left: tuple[int, int, int]) -> None:
    """Each class is forgotten by a setting of its own; a workflow stays for as long as the commands to it."""
    rules = rules_of(tmp_path, act("cure"))
    settings: dict[str, Any] = {"MONITORING_INTERVAL": "100ms", "RULES_FILE": rules, **dict.fromkeys(names, "24h")}
    async with replica(tmp_path, ScriptedExecutor(), **settings) as running:
        workflow_id = (await running.result(alert(1)))["workflow_id"]
        assert (await running.http.post(f"/api/v1/workflows/{workflow_id}/rollback", json={})).status_code == 200
        await running.ended(workflow_id)
        await asyncio.to_thread(_all_of_it_long_ago, tmp_path)

        async def forgotten() -> bool:
            return await asyncio.to_thread(_kept, tmp_path) == left

        await within(forgotten, "only what is to be kept is left")


def _all_of_it_long_ago(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "data" / "workflow-service.sqlite", timeout=20)) as connection:
        for table, column in (("executions", "ended_at"), ("deliveries", "received_at"), ("commands", "created_at")):
            connection.execute(f"UPDATE {table} SET {column} = datetime('now', '-2 days')")  # noqa: S608
        connection.commit()


def _kept(directory: Path) -> tuple[int, ...]:
    """How many workflows, commands, and deliveries that are not empty there are."""
    with closing(sqlite3.connect(directory / "data" / "workflow-service.sqlite", timeout=20)) as connection:
        one = connection.execute(
            "SELECT (SELECT count(*) FROM workflows), (SELECT count(*) FROM commands), "
            "(SELECT count(*) FROM deliveries WHERE length(body) > 0)"
        ).fetchone()
        return tuple(one)


async def test_monitoring_interval_is_the_pace_of_the_gauges(tmp_path: Path) -> None:
    """A running workflow is seen in the metrics within moments, not after the default of 30 s."""
    executor = ScriptedExecutor()
    executor.script("cure", SLOW)
    rules = rules_of(tmp_path, act("cure"))
    async with replica(tmp_path, executor, RULES_FILE=rules, MONITORING_INTERVAL="100ms") as running:
        workflow_id = await running.begin(HIGH_CPU)
        await _metric(running, 'status="running"', within=5.0)
        executor.finish()
        await running.ended(workflow_id)


async def _metric(running: Running, part: str, *, within: float) -> None:
    until = asyncio.get_running_loop().time() + within
    while True:
        lines = (await running.http.get("/metrics")).text.splitlines()
        if any(part in line and line.endswith(" 1.0") for line in lines):
            return
        assert asyncio.get_running_loop().time() < until, [line for line in lines if "workflow" in line]
        await asyncio.sleep(0.05)


async def test_execute_wait(tmp_path: Path) -> None:
    """With none, everybody who does not ask otherwise is answered at once; who asks to wait still may."""
    async with replica(tmp_path, ScriptedExecutor(), EXECUTE_WAIT="0s") as running:
        answer = await running.execute(alert(1))
        patient = await running.execute(alert(2), prefer="wait=20")
        await running.ended(answer.json()["result"]["workflow_id"])
    assert (answer.status_code, patient.status_code) == (202, 200)


async def test_intake_cooldown(tmp_path: Path) -> None:
    """With none, the same alert is remediated again at once."""
    async with replica(tmp_path, ScriptedExecutor(), INTAKE_COOLDOWN="0s") as running:
        first, second = await running.result(HIGH_CPU), await running.result(HIGH_CPU)
    assert first["workflow_id"] != second["workflow_id"]
    assert second["execution_details"]["intake"]["outcome"] == "admitted"


async def test_failure_cooldown(tmp_path: Path) -> None:
    """With none, what has failed is tried again at once."""
    executor = ScriptedExecutor()
    executor.script("one", failing(ErrorClass.PERMANENT))
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, FAILURE_COOLDOWN="0s") as running:
        first, second = await running.result(HIGH_CPU), await running.result(HIGH_CPU)
    assert (first["success"], second["success"]) == (False, True)
    assert first["workflow_id"] != second["workflow_id"]


@pytest.mark.parametrize("name", ["STORM_IN_NAMESPACE", "STORM_IN_CLUSTER"])
async def test_storms(tmp_path: Path, name: str) -> None:
    """Beyond the threshold one workflow stands for the rest; a window that is over counts no more."""
    executor = ScriptedExecutor()
    executor.script("one", *[Answer(slow=True)] * 3)
    rules = rules_of(tmp_path, act("one"))
    thresholds = {"STORM_IN_NAMESPACE": "0", "STORM_IN_CLUSTER": "0", name: "2"}
    given: dict[str, Any] = {"RULES_FILE": rules, "STORM_WINDOW": "1h", **thresholds}
    async with replica(tmp_path, executor, **given) as running:
        found = [await running.begin(alert(number)) for number in range(5)]
        executor.finish()
    assert len(set(found)) == 3
    assert found[2] == found[3] == found[4]


@pytest.mark.parametrize("name", ["BUDGET_IN_NAMESPACE", "BUDGET_IN_CLUSTER"])
async def test_budgets(tmp_path: Path, name: str) -> None:
    """Beyond it an alert is held back, and says so to who sent it."""
    given: dict[str, Any] = {"RULES_FILE": rules_of(tmp_path, act("one")), name: "2"}
    async with replica(tmp_path, ScriptedExecutor(), **given) as running:
        found = [await running.result(alert(number)) for number in range(3)]
    assert [one["success"] for one in found] == [True, True, False]
    assert found[2]["status"] == "over_budget"
    assert "2 of 2 workflows have begun" in found[2]["abort_reason"]


async def test_no_action_memory(tmp_path: Path) -> None:
    """That nothing was to be done is believed for so long; without it every repeat is planned again."""
    rules = rules_of(tmp_path, act("one", when="alert.severity == 'none'"))
    for memory, outcomes in (("6h", ["admitted", "not_needed"]), ("0s", ["admitted", "admitted"])):
        directory = tmp_path / memory
        directory.mkdir()
        async with replica(directory, ScriptedExecutor(), RULES_FILE=rules, NO_ACTION_MEMORY=memory) as running:
            found = [await running.result(HIGH_CPU) for _ in range(2)]
        assert [one["execution_details"]["intake"]["outcome"] for one in found] == outcomes
        assert {one["workflow_result"]["reason"] for one in found} == {"no_action_needed"}
        assert len({one["workflow_id"] for one in found}) == outcomes.count("admitted")


async def test_group_by(tmp_path: Path) -> None:
    """Alerts that agree in these labels are one incident."""
    executor = ScriptedExecutor()
    executor.script("one", Answer(slow=True))
    rules = rules_of(tmp_path, act("one"))
    async with replica(tmp_path, executor, RULES_FILE=rules, GROUP_BY="service") as running:
        found = [await running.begin({**alert(number), "labels": {"service": "shop"}}) for number in range(3)]
        executor.finish()
    assert len(set(found)) == 1


async def test_intake_max_pending(tmp_path: Path) -> None:
    """It is how many deliveries may be under way, on whatever route."""
    async with replica(tmp_path, ScriptedExecutor(), INTAKE_MAX_PENDING="1") as running:
        with running.parts.reception.inbox.place():
            assert (await running.execute(HIGH_CPU)).status_code == 500
        assert (await running.execute(HIGH_CPU)).status_code == 200


async def test_cluster_name(tmp_path: Path) -> None:
    """It says which cluster an alert is about that names none, to the executor and in the list."""
    executor = ScriptedExecutor()
    async with replica(tmp_path, executor, CLUSTER_NAME="prod-eu") as running:
        await running.result(HIGH_CPU)
        [listed] = (await running.http.get("/api/v1/workflows")).json()["workflows"]
    assert {order.cluster for order in executor.sent} == {"prod-eu"}
    assert listed["target"] == "target:prod-eu/production/pod/web-server-123"


async def test_executors(tmp_path: Path) -> None:
    """Clusters that have one are known, and no alert that names another one is acted on."""
    executor = ScriptedExecutor()
    silent = "http://127.0.0.1:1"
    async with replica(tmp_path, executor, EXECUTORS=f"eu={silent}") as running:
        known, unknown = [{**HIGH_CPU, "labels": {"cluster": name}} for name in ("eu", "us")]
        assert await running.begin(known)
        assert (await running.result(unknown))["status"] == "refused"
    assert not executor.sent


async def test_cluster_label(tmp_path: Path) -> None:
    """The label that names an alert's cluster; what another label says is no cluster."""
    async with replica(tmp_path, ScriptedExecutor(), CLUSTER_LABEL="k8s_cluster") as running:
        here = await running.result({**HIGH_CPU, "labels": {"cluster": "us"}})
        there = await running.result({**HIGH_CPU, "labels": {"k8s_cluster": "us"}})
    assert (here["success"], there["status"]) == (True, "refused")


async def test_rules_file(tmp_path: Path) -> None:
    """The operator's own rules replace the shipped ones, and the plan says which file made it."""
    async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("mine"))) as running:
        result = await running.result(HIGH_CPU)
    assert list(steps(result)) == ["mine"]
    assert result["execution_details"]["plan"]["rule"] == "test"
