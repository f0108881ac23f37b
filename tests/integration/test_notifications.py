"""People are told of every end that is not `completed`, of approvals and of escalations: once, over every channel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.replica import HIGH_CPU, Running, act, replica, rules_of
from tests.support.rows import eventually
from tests.support.scripted_executor import ScriptedExecutor, failing
from tests.support.sinks import HttpSink, MailSink, http_sink, mail_sink
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.signatures import verify

pytestmark = pytest.mark.requirement("BR-WF-002", "BR-WF-005")
SECRET = "the-secret-of-the-webhooks-is-long"


def asking(directory: Path, timeout: str = "10m") -> str:
    """A rule that asks before its second action."""
    return rules_of(directory, act("first"), act("second", needs=["first"], approval={"timeout": timeout}))


def slack(sink: HttpSink) -> dict[str, Any]:
    """Settings that tell Slack there."""
    return {"NOTIFY_SLACK_URL": f"{sink.url}/slack"}


def hook(sink: HttpSink) -> dict[str, Any]:
    """Settings that tell a signed webhook there."""
    return {"NOTIFY_WEBHOOK_URL": f"{sink.url}/hook", "NOTIFY_WEBHOOK_SECRET": SECRET}


def mailing(mails: MailSink) -> dict[str, Any]:
    """Settings that write two mails."""
    to = "ana@example.com, bob@example.com"
    return {"NOTIFY_SMTP_URL": mails.url, "NOTIFY_EMAIL_FROM": "wfs@example.com", "NOTIFY_EMAIL_TO": to}


def texts(sink: HttpSink) -> list[str]:
    """What Slack was told."""
    return [json.loads(one.body)["text"] for one in sink.at("/slack")]


async def told(running: Running, **query: str) -> list[dict[str, Any]]:
    """GET /api/v1/notifications, oldest first."""
    answer = await running.http.get("/api/v1/notifications", params=query)
    assert answer.status_code == 200, answer.text
    return list(reversed(answer.json()["notifications"]))


async def settled(running: Running, number: int, status: str = "delivered") -> list[dict[str, Any]]:
    """The notifications of that status, once there are so many."""

    async def look() -> list[dict[str, Any]]:
        found = await told(running, status=status)
        return found if len(found) >= number else []

    return await eventually(look, f"{number} are {status}")


async def waits(running: Running, workflow: str) -> dict[str, Any]:
    """The workflow once it asks for approval."""
    return await running.until(workflow, lambda one: one["status"] == "awaiting_approval", "it asks")


async def test_an_end_reaches_people_over_every_channel(tmp_path: Path) -> None:
    """Slack, a signed webhook and each address get a failed end once."""
    executor = ScriptedExecutor()
    executor.script("second", failing(ErrorClass.PERMANENT, "no such thing password=hunter2"))
    rules = rules_of(tmp_path, act("first"), act("second", needs=["first"], on_failure="stop"))
    with http_sink() as sink:
        async with mail_sink() as mails:
            given = {**slack(sink), **hook(sink), **mailing(mails)}
            async with replica(tmp_path, executor, RULES_FILE=rules, **given) as running:
                result = await running.result(HIGH_CPU)
                found = await settled(running, 4)
                assert (await running.http.get("/health")).json()["status"] == "healthy"
                metrics = (await running.http.get("/metrics")).text
    assert 'wfs_notifications_total{channel="email",outcome="delivered"} 2.0' in metrics
    assert {one["channel"] for one in found} == {"slack", "webhook", "email:ana@example.com", "email:bob@example.com"}
    assert {(one["kind"], one["tries"], one["due_at"]) for one in found} == {("workflow.ended", 1, None)}
    _is_signed(sink, next(one for one in found if one["channel"] == "webhook"), result)
    (text,) = texts(sink)
    said = ("HighCPUUsage in default/production: failed", "no such thing", "changed: ")
    assert ([part in text for part in said], "hunter2" in text) == ([True] * 3, False)
    assert sorted(mails.recipients) == ["ana@example.com", "bob@example.com"]
    assert "HighCPUUsage in default/production: failed" in str(mails.got[0]["Subject"])
    assert len({mail["Message-ID"] for mail in mails.got}) == 2


def _is_signed(sink: HttpSink, row: dict[str, Any], result: dict[str, Any]) -> None:
    (got,) = sink.at("/hook")
    signed = verify(got.headers, got.body, secrets=[SECRET.encode()], now=float(got.headers["webhook-timestamp"]))
    body = json.loads(got.body)
    assert signed.id == row["notification_id"]
    assert (body["type"], body["data"]["status"]) == ("workflow-service.workflow.ended", "failed")
    assert (body["data"]["workflow_id"], body["data"]["undo_possible"]) == (result["workflow_id"], True)


async def test_a_success_is_nobodys_business(tmp_path: Path) -> None:
    """A workflow that completes leaves nothing in the outbox."""
    with http_sink() as sink:
        async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules_of(tmp_path, act("a")), **slack(sink)) as run:
            assert (await run.result(HIGH_CPU))["status"] == "completed"
            assert await told(run) == []
    assert sink.got == []


async def test_an_approval_is_asked_then_decided(tmp_path: Path) -> None:
    """Who is asked sees plan, hash and end; approved, people hear by whom, and no reminder is ever sent."""
    with http_sink() as sink:
        async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=asking(tmp_path), **slack(sink)) as running:
            workflow = await running.begin(HIGH_CPU)
            await waits(running, workflow)
            (asked,) = await settled(running, 1)
            plan_hash = (await running.detail(workflow))["result"]["execution_details"]["plan"]["hash"]
            assert (asked["kind"], asked["data"]["plan_hash"]) == ("approval.asked", plan_hash)
            assert [one["step"] for one in asked["data"]["plan"]["actions"]] == ["second"]
            later = await told(running, status="pending")
            assert [one["kind"] for one in later] == ["approval.expiring"]  # 10 min are over before 15 are
            body = {"plan_hash": plan_hash, "reason": "go on"}
            answer = await running.http.post(
                f"/api/v1/workflows/{workflow}/approve", json=body, headers={"X-Service-Name": "ana"}
            )
            assert answer.status_code in {200, 202}, answer.text
            assert (await running.ended(workflow))["status"] == "completed"
            found = await settled(running, 2)
            over = await told(running, status="obsolete")
    assert [one["kind"] for one in found] == ["approval.asked", "approval.decided"]
    assert (found[1]["data"]["outcome"], "approve by ana: go on" in found[1]["data"]["message"]) == ("approved", True)
    assert [one["kind"] for one in over] == ["approval.expiring"]
    assert len(texts(sink)) == 2


async def test_nobody_answers(tmp_path: Path) -> None:
    """People are told again, warned before the end, and told that it has expired: rejected, approval_expired."""
    given: dict[str, Any] = {"APPROVAL_WARNING": "0.6", "APPROVAL_ESCALATION": "1s"}
    with http_sink() as sink:
        rules = asking(tmp_path, timeout="4s")
        async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=rules, **slack(sink), **given) as running:
            workflow = await running.begin(HIGH_CPU)
            found = await running.ended(workflow)
            kinds = [one["kind"] for one in await settled(running, 4)]
    assert (found["status"], found["reason"]) == ("rejected", "approval_expired")
    assert sorted(kinds) == ["approval.asked", "approval.expiring", "approval.unanswered", "workflow.ended"]
    assert "approval_expired" in texts(sink)[-1]


async def test_who_extends_is_warned_of_the_new_end(tmp_path: Path) -> None:
    """The old warning is obsolete, and there is one for the new end."""
    with http_sink() as sink:
        async with replica(tmp_path, ScriptedExecutor(), RULES_FILE=asking(tmp_path), **slack(sink)) as running:
            workflow = await running.begin(HIGH_CPU)
            await waits(running, workflow)
            (before,) = await told(running, kind="approval.expiring")
            answer = await running.http.post(f"/api/v1/workflows/{workflow}/extend", json={"seconds": 3600})
            assert answer.status_code in {200, 202}, answer.text
            (old,) = await settled(running, 1, "obsolete")
            (after,) = await told(running, kind="approval.expiring", status="pending")
    assert old["notification_id"] == before["notification_id"]
    assert after["due_at"] > before["due_at"]
    assert after["data"]["until"] > before["data"]["until"]


async def test_without_a_channel_it_is_only_shown(tmp_path: Path) -> None:
    """Nothing waits for anybody; the list shows what nobody was told, and health is not coloured by it."""
    executor = ScriptedExecutor()
    executor.script("a", failing(ErrorClass.PERMANENT))
    async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("a"))) as running:
        await running.result(HIGH_CPU)
        (found,) = await told(running)
        assert (await running.http.get("/health")).json()["status"] == "healthy"
    assert (found["status"], found["channel"], found["due_at"]) == ("unaddressed", None, None)


async def test_routes_choose_by_severity_and_namespace(tmp_path: Path) -> None:
    """Slack is told of critical alerts in shop only, the webhook of everything."""
    executor = ScriptedExecutor()
    executor.script("a", failing(ErrorClass.PERMANENT), failing(ErrorClass.PERMANENT))
    with http_sink() as sink:
        given = {**slack(sink), **hook(sink), "NOTIFY_ROUTES": "slack=critical@shop"}
        async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("a")), **given) as running:
            await running.result(HIGH_CPU)
            await running.result({**HIGH_CPU, "namespace": "shop"})
            await settled(running, 3)
    (text,) = texts(sink)
    assert "in default/shop" in text
    assert len(sink.at("/hook")) == 2


async def test_a_channel_that_fails_is_seen(tmp_path: Path) -> None:
    """A 500 is tried again later; until then the row says why, health is degraded and the metric counts."""
    executor = ScriptedExecutor()
    executor.script("a", failing(ErrorClass.PERMANENT))
    with http_sink() as sink:
        sink.answers = [500] * 100
        given = {**slack(sink), "MONITORING_INTERVAL": "100ms"}
        async with replica(tmp_path, executor, RULES_FILE=rules_of(tmp_path, act("a")), **given) as running:
            await running.result(HIGH_CPU)

            async def troubled() -> list[dict[str, Any]]:
                return [one for one in await told(running) if one["trouble"]]

            (found,) = await eventually(troubled, "it has failed")

            async def degraded() -> bool:
                return bool((await running.http.get("/health")).json()["status"] == "degraded")

            await eventually(degraded, "health says so")
            metrics = (await running.http.get("/metrics")).text
    assert found["trouble"] == "NOTIFY_SLACK_URL answered 500"
    assert 'wfs_notifications_overdue{channel="slack"} 1.0' in metrics


async def test_what_strangers_write_controls_nothing(tmp_path: Path) -> None:
    """Mentions, links and line breaks of an alert are plain text on Slack and in a mail's subject."""
    executor = ScriptedExecutor()
    executor.script("a", failing(ErrorClass.PERMANENT, "<!channel> see <https://evil.example|here>"))
    alert = {**HIGH_CPU, "name": "Evil\r\nBcc: all@example.com <!here>"}
    with http_sink() as sink:
        async with mail_sink() as mails:
            given = {**slack(sink), **mailing(mails)}
            rules = rules_of(tmp_path, act("a"))
            async with replica(tmp_path, executor, RULES_FILE=rules, **given) as running:
                await running.result(alert)
                await settled(running, 3)
    (text,) = texts(sink)
    assert "<!" not in text
    assert "https://evil" not in text
    assert mails.got[0]["Bcc"] is None
    assert sorted(mails.recipients) == ["ana@example.com", "bob@example.com"]
