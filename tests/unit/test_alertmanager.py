"""Alertmanager's webhook: what it really sends is understood, what is broken costs one alert and no other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from tests.unit.test_alert import any_documents, json_values
from workflow_service.domain.alert import Alert, fingerprint
from workflow_service.domain.alertmanager import read_notification
from workflow_service.domain.received import MAX_ALERTS, Invalid, Unreadable
from workflow_service.domain.target import Target, resolve

pytestmark = [pytest.mark.requirement("BR-WF-001")]


def an_alert(number: int = 0, **values: Any) -> dict[str, Any]:
    """One alert as Alertmanager 0.25 sends it."""
    return {
        "status": "firing",
        "labels": {
            "alertname": "HighCPUUsage",
            "severity": "Critical",
            "namespace": "production",
            "deployment": f"web-{number}",
        },
        "annotations": {"summary": "busy", "description": "very busy"},
        "startsAt": "2026-11-23T03:00:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
        "fingerprint": f"c3d9f0a1b2e4f5{number:02x}",
        **values,
    }


def a_notification(*alerts: Any, **values: Any) -> dict[str, Any]:
    """The body of one notification."""
    return {
        "receiver": "workflow-service",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "HighCPUUsage"},
        "commonLabels": {"alertname": "HighCPUUsage"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="HighCPUUsage"}',
        "truncatedAlerts": 0,
        **values,
    }


def read(*alerts: Any, **values: Any) -> tuple[Alert | Invalid, ...]:
    """What was found in a notification of these alerts."""
    return read_notification(a_notification(*alerts, **values)).found


def test_an_alert_says_in_labels_what_the_specification_has_fields_for() -> None:
    """Name, severity, namespace and target come from labels, texts from annotations; the zero time is no time."""
    [alert] = read(an_alert(7))
    assert isinstance(alert, Alert)
    assert (alert.name, alert.severity, alert.namespace) == ("HighCPUUsage", "critical", "production")
    assert (alert.summary, alert.description, alert.status) == ("busy", "very busy", "firing")
    assert (alert.starts_at, alert.ends_at) == (datetime(2026, 11, 23, 3, 0, 0, 123000, tzinfo=UTC), None)
    assert fingerprint(alert) == "c3d9f0a1b2e4f507"
    assert resolve(alert, "default") == Target("default", "Deployment", "web-7", "production")
    assert alert.extra["generatorURL"].startswith("http://prometheus")


def test_the_namespace_is_the_subjects() -> None:
    """`namespace` may be that of whoever measured; then the subject's is in `exported_namespace`."""
    labels = {"alertname": "A", "namespace": "monitoring", "exported_namespace": "production", "pod": "web-1"}
    [alert] = read(an_alert(labels=labels))
    assert isinstance(alert, Alert)
    assert alert.namespace == "production"
    assert resolve(alert, "default") == Target("default", "Pod", "web-1", "production")
    [broken] = read(an_alert(labels={**labels, "exported_namespace": 7}))
    assert isinstance(broken, Invalid)


@pytest.mark.parametrize("number", [0, 1, 2, 500])
def test_all_alerts_of_a_group_are_read(number: int) -> None:
    """However many there are, each is there, in order."""
    found = read(*(an_alert(nth, status=("firing", "resolved")[nth % 2]) for nth in range(number)))
    assert [one.status for one in found if isinstance(one, Alert)] == [
        ("firing", "resolved")[nth % 2] for nth in range(number)
    ]


@pytest.mark.parametrize(
    ("own", "group", "status"),
    [
        ("resolved", "firing", "resolved"),
        ("firing", "resolved", "firing"),
        (None, "resolved", "resolved"),
        ("", None, "firing"),
        (None, "", "firing"),
    ],
)
def test_each_alert_has_its_own_status(own: str | None, group: str | None, status: str) -> None:
    """The group's counts only where the alert has none, and without any it fires."""
    [alert] = read(an_alert(status=own), status=group)
    assert isinstance(alert, Alert)
    assert alert.status == status


def test_what_go_sends_for_nothing_is_nothing() -> None:
    """Nulls, empty texts and maps; no version; fields that nobody knows."""
    bare = {"labels": {"alertname": "Watchdog"}, "annotations": None, "startsAt": "", "fingerprint": "", "new": [1]}
    body = {"alerts": [bare], "notification_reason": "repeat_interval", "truncatedAlerts": None}
    [alert] = read_notification(body).found
    assert isinstance(alert, Alert)
    assert (alert.name, alert.severity, alert.starts_at) == ("Watchdog", "unknown", None)
    assert alert.extra["new"] == [1]
    assert len(fingerprint(alert)) == 16
    assert read_notification({"alerts": None}).found == ()


def test_truncated_groups_say_so() -> None:
    """How many alerts `max_alerts` has cut off is known afterwards."""
    assert read_notification(a_notification(an_alert(), truncatedAlerts=12)).truncated == 12
    for nonsense in ("12", -1, True, 2**70, [1]):
        assert read_notification(a_notification(truncatedAlerts=nonsense)).truncated == 0


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({}, "name"),
        (7, "alert"),
        ({"labels": {"alertname": "A", "x": 1}}, "labels.x"),
        ({"labels": {"alertname": "A\0"}}, "labels.alertname"),
        ({"labels": {"alertname": "A", "x": "\ud800"}}, "labels.x"),
        ({"labels": {"alertname": "A", "x": "y" * 1_000_000}}, "labels.x"),
        ({"labels": {"alertname": "A"}, "value": 2**64}, "value"),
        ({"labels": {"alertname": "A"}, "startsAt": "yesterday"}, "starts_at"),
        ({"labels": ["alertname"]}, "labels"),
        ({"labels": {"alertname": "A"}, "status": "pending"}, "status"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_alert_costs_itself(bad: object, field: str) -> None:
    """It is told what is wrong with it, shortly; its neighbours are read."""
    first, broken, last = read(an_alert(1), bad, an_alert(2))
    assert isinstance(first, Alert)
    assert isinstance(last, Alert)
    assert isinstance(broken, Invalid)
    assert field in broken.reason
    assert len(broken.reason) <= 1000
    broken.reason.encode()
    assert broken.raw is bad


@pytest.mark.parametrize("body", [None, 7, [], "x", {}, {"name": "HighCPUUsage"}, {"alerts": {}}, {"alerts": "x"}])
def test_what_is_no_notification(body: object) -> None:
    """Without a list of alerts there is nothing to act on, and the error says what was expected."""
    with pytest.raises(Unreadable, match=r"alerts|object"):
        read_notification(body)


def test_more_alerts_than_anybody_can_answer() -> None:
    """Those within the bound are taken; all beyond it, be they millions of nothings, are one that is invalid."""
    [*taken, surplus] = read_notification({"alerts": [an_alert()] * MAX_ALERTS + [0] * 1000}).found
    assert len(taken) == MAX_ALERTS
    assert all(isinstance(one, Alert) for one in taken)
    assert isinstance(surplus, Invalid)
    assert f"at most {MAX_ALERTS}" in surplus.reason
    assert len(read_notification({"alerts": [0] * MAX_ALERTS}).found) == MAX_ALERTS


def test_keys_stay_short() -> None:
    """A fingerprint of thousands of characters cannot become a key of the database; a cluster must be a known one."""
    [long] = read(an_alert(fingerprint="f" * 5000))
    assert isinstance(long, Alert)
    assert len(fingerprint(long)) == 64


@given(any_documents | json_values)
def test_nothing_breaks_the_reader(alert: Any) -> None:
    """Whatever an alert is, it is an alert or invalid, and a neighbour is read."""
    found, neighbour = read(alert, an_alert())
    assert isinstance(found, Alert | Invalid)
    assert isinstance(neighbour, Alert)
    if isinstance(found, Invalid):
        found.reason.encode()
