"""The service's one job: an alert goes in, and what became of it comes out, in the specification's words."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.support.replica import (
    DISK_SPACE_HIGH,
    HIGH_CPU,
    MEMORY_LEAK,
    Running,
    eventually,
    replica,
    steps,
)
from tests.support.scripted_executor import Answer, ScriptedExecutor, failing
from workflow_service.domain.errors import ErrorClass

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXECUTION_RESULT = {"success", "workflow_id", "execution_id", "status", "actions_executed", "actions_total"} | {
    "execution_time",
    "rollback_required",
    "rollback_initiated",
    "workflow_result",
    "execution_details",
}
COORDINATION_RESULT = {"workflow_id", "status", "success", "actions_total", "actions_executed", "completed_actions"} | {
    "failed_actions",
    "ai_analysis_applied",
    "start_time",
    "end_time",
    "execution_duration",
}
METADATA = {"creation_method", "alert_severity", "alert_namespace", "actions_count", "creation_duration"} | {
    "ai_provider",
    "workflow_version",
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One replica with the shipped rules and default settings."""
    async with replica(tmp_path_factory.mktemp("replica"), ScriptedExecutor()) as one:
        yield one


def about(deployment: str, **more: Any) -> dict[str, Any]:
    """An alert about a deployment of that name, which no other test speaks of."""
    return {
        "name": "HighCPUUsage",
        "severity": "critical",
        "namespace": "production",
        "resource": f"deployment/{deployment}",
        **more,
    }


def nanoseconds(result: Mapping[str, Any]) -> int:
    """From start to end as the result's own times have it."""
    delta = datetime.fromisoformat(result["end_time"]) - datetime.fromisoformat(result["start_time"])
    return (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1000


@pytest.mark.requirement("BR-WF-001", "BR-WF-012")
@pytest.mark.parametrize(
    ("alert", "cure"),
    [(HIGH_CPU, "scale_deployment"), (MEMORY_LEAK, "restart_pod"), (DISK_SPACE_HIGH, "notify_oncall")],
    ids=lambda value: value["name"] if isinstance(value, dict) else value,
)
async def test_the_specified_alerts_become_finished_workflows(
    running: Running, alert: dict[str, Any], cure: str
) -> None:
    """Each of the specification's alerts is processed with success, with both result shapes whole in one object."""
    answer = await running.execute(alert)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["status"], body["service"]) == ("success", "workflow-service")
    result = body["result"]
    assert set(result) == EXECUTION_RESULT | COORDINATION_RESULT  # abort_reason only when there is one
    assert result["success"] is True
    assert result["status"] == result["workflow_result"]["status"] == "completed"
    assert result["workflow_id"] != result["execution_id"]
    assert result["actions_total"] == result["actions_executed"] == len(result["completed_actions"]) > 0
    assert result["failed_actions"] == []
    assert cure in {action["type"] for action in result["completed_actions"]}
    assert result["execution_details"]["intake"]["outcome"] == "admitted"
    assert (result["rollback_required"], result["rollback_initiated"]) == (False, False)


async def test_durations_are_whole_nanoseconds(running: Running) -> None:
    """As Go's time.Duration in JSON, and they agree with the start and end that stand beside them."""
    result = await running.result(about("clock"))
    assert type(result["execution_time"]) is int
    assert result["execution_time"] == result["execution_duration"] == nanoseconds(result) > 0
    for action in result["completed_actions"]:
        assert type(action["duration"]) is int


async def test_metadata_is_whole_and_honest(running: Running) -> None:
    """The plan carries the specification's metadata; without AI nothing claims to come from AI."""
    result = await running.result(about("honest"))
    metadata = result["execution_details"]["plan"]["metadata"]
    assert set(metadata) >= METADATA
    assert metadata["creation_method"] == "fallback"
    assert metadata["actions_count"] == result["actions_total"]
    assert (metadata["alert_severity"], metadata["alert_namespace"]) == ("critical", "production")
    assert result["ai_analysis_applied"] is False


async def test_a_critical_failure_is_an_answer_too(running: Running) -> None:
    """The request was processed (200, status success), the remediation was not (success false, with its reason)."""
    running.executor.script("scale", failing(ErrorClass.FORBIDDEN, "quota exceeded"))
    result = await running.result(about("forbidden"))
    assert result["success"] is False
    assert result["status"] == "failed"
    assert result["abort_reason"] == "Critical action scale failed: quota exceeded"
    assert result["failed_actions"] == ["scale"]
    assert "scale" not in {action["id"] for action in result["completed_actions"]}
    assert result["actions_executed"] == len(result["completed_actions"]) < result["actions_total"]


async def test_the_alert_reaches_the_executor(running: Running) -> None:
    """Every order carries the alert and the ids by which it can be traced, and a key of its own."""
    result = await running.result(about("traced"))
    orders = [order for order in running.executor.sent if order.workflow_id == result["workflow_id"]]
    assert len({order.key for order in orders}) == len(orders) == result["actions_total"]
    for order in orders:
        assert order.alert["name"] == "HighCPUUsage"
        assert order.execution_id == result["execution_id"]
        assert order.key == f"{order.execution_id}:{order.step_id}"


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0", "respond-async, wait=0"])
async def test_who_does_not_wait_is_told_where_to_look(running: Running, prefer: str) -> None:
    """202 with a Location that leads to the workflow, which goes on."""
    name = prefer.replace("=", "-").replace(", ", "-")
    running.executor.script("scale", Answer(slow=True))
    answer = await running.execute(about(name), prefer=prefer)
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"
    assert answer.json()["result"]["end_time"] is None
    workflow_id = answer.json()["result"]["workflow_id"]
    assert answer.headers["location"] == f"/api/v1/workflows/{workflow_id}"
    await eventually(lambda: running.executor.running() == ["scale"], "the action runs")
    running.executor.finish()
    assert (await running.ended(workflow_id))["status"] == "completed"


async def test_who_waits_one_second_gets_what_there_is(running: Running) -> None:
    """`Prefer: wait=1` is over before the action is: 202 with a result that is under way."""
    running.executor.script("scale", Answer(slow=True))
    answer = await running.execute(about("patient"), prefer="wait=1")
    assert answer.status_code == 202
    assert answer.json()["result"]["status"] == "running"
    running.executor.finish()
    await running.ended(answer.json()["result"]["workflow_id"])


async def test_a_client_that_hangs_up_does_not_stop_the_workflow(running: Running) -> None:
    """The waiting is the caller's, the work is not."""
    running.executor.script("scale", Answer(slow=True))
    caller = asyncio.create_task(running.execute(about("hung-up")))
    await eventually(lambda: running.executor.running() == ["scale"], "the action runs")
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    running.executor.finish()
    workflow_id = running.executor.orders("scale")[-1].workflow_id
    assert (await running.ended(workflow_id))["status"] == "completed"


async def test_a_duplicate_shares_the_outcome(running: Running) -> None:
    """While a workflow runs, the same alert and another one about the same object wait with it and start nothing."""
    running.executor.script("scale", Answer(slow=True))
    first = asyncio.create_task(running.result(about("twin")))
    await eventually(lambda: running.executor.running() == ["scale"], "the action runs")
    others = [
        asyncio.create_task(running.result(about("twin"))),
        asyncio.create_task(running.result(about("twin", name="PodCrashLooping"))),
    ]
    for _ in range(10):
        await asyncio.sleep(0)
    running.executor.finish()
    result, *shared = await asyncio.gather(first, *others)
    assert {one["workflow_id"] for one in shared} == {result["workflow_id"]}
    assert len([order for order in running.executor.orders("scale") if "twin" in str(order.alert)]) == 1


async def test_ten_at_once_are_one_workflow(running: Running) -> None:
    """However the requests race, one is admitted and the others attach to it or find it done."""
    results = await asyncio.gather(*(running.result(about("stampede")) for _ in range(10)))
    assert len({result["workflow_id"] for result in results}) == 1
    outcomes = [result["execution_details"]["intake"]["outcome"] for result in results]
    assert outcomes.count("admitted") == 1
    assert set(outcomes) <= {"admitted", "attached", "cooled_down"}


async def test_twice_in_a_row_is_success_twice(running: Running) -> None:
    """The second alert comes within the cool-down of the first: the earlier result, and nothing done again."""
    first, second = await running.result(about("again")), await running.result(about("again"))
    assert first["success"] is second["success"] is True
    assert second["workflow_id"] == first["workflow_id"]
    assert second["actions_total"] == first["actions_total"]
    assert second["execution_details"]["intake"]["outcome"] == "cooled_down"
    assert len([order for order in running.executor.sent if order.workflow_id == first["workflow_id"]]) == 3


async def test_a_failure_cools_down_too(running: Running) -> None:
    """After a failed remediation the same thing rests a minute, and the answer says so; a retry by hand is not held."""
    running.executor.script("scale", failing(ErrorClass.PERMANENT))
    first, second = await running.result(about("retried")), await running.result(about("retried"))
    assert (first["success"], second["success"]) == (False, False)
    assert first["workflow_id"] == second["workflow_id"]
    intake = second["execution_details"]["intake"]
    assert intake["outcome"] == "cooled_down"
    assert "tried once and ended failed" in intake["reason"]
    answer = await running.http.post(f"/api/v1/workflows/{first['workflow_id']}/retry", json={})
    assert answer.status_code == 200
    assert (await running.ended(first["workflow_id"]))["status"] == "completed"


async def test_what_has_resolved_needs_no_workflow(running: Running) -> None:
    """A resolved alert for which nothing runs is processed with success and no action."""
    result = await running.result(about("healed", status="resolved"))
    assert (result["success"], result["status"], result["workflow_id"]) == (True, "resolved", "")
    assert set(result) == EXECUTION_RESULT | COORDINATION_RESULT
    assert not [order for order in running.executor.sent if "healed" in str(order.alert)]


async def test_status_tells_where_a_workflow_stands(running: Running) -> None:
    """Progress counts ended steps of all, current_action names what runs, and the end is bounded."""
    running.executor.script("scale", Answer(slow=True))
    workflow_id = await running.begin(about("watched"))
    await running.until(
        workflow_id, lambda found: steps(found).get("diagnose", {}).get("status") == "succeeded", "the first step ends"
    )
    status = (await running.http.get("/api/v1/status", params={"workflow_id": workflow_id})).json()
    assert status["current_action"] == "scale"
    assert status["progress"] == pytest.approx(1 / 3, abs=0.001)
    assert status["status"] == "running"
    assert status["must_end_by"] is not None
    running.executor.finish()
    await running.ended(workflow_id)
    status = (await running.http.get("/api/v1/status", params={"workflow_id": workflow_id})).json()
    assert (status["progress"], status["current_action"]) == (1.0, None)
