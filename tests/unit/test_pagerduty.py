"""PagerDuty's webhooks: who may have sent them, and which alert they tell of."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from tests.unit.test_alert import json_values
from workflow_service.domain.alert import MAX_LABELS, Alert, fingerprint
from workflow_service.domain.pagerduty import read_webhook
from workflow_service.domain.received import Invalid, Unreadable
from workflow_service.domain.signatures import BadSignature, verify
from workflow_service.domain.target import Target, resolve

pytestmark = [pytest.mark.requirement("BR-WF-001")]

SIGNATURES = "x-pagerduty-signature"
SECRET = b"of-the-subscription-of-ours"


def an_incident(**values: Any) -> dict[str, Any]:
    """An incident as PagerDuty describes it."""
    return {
        "id": "PGR0VU2",
        "type": "incident",
        "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
        "number": 2,
        "status": "triggered",
        "incident_key": "d3640fbd41094207a1c11e58e46b1662",
        "created_at": "2026-11-23T03:00:00Z",
        "title": "web is busy",
        "service": {"id": "PF9KMXH", "summary": "API Service", "type": "service_reference"},
        "priority": {"id": "PSO75BM", "summary": "P1", "type": "priority_reference"},
        "urgency": "high",
        **values,
    }


def a_webhook(kind: str = "incident.triggered", **values: Any) -> dict[str, Any]:
    """One event."""
    event = {"id": "5ac64822", "event_type": kind, "resource_type": "incident", "occurred_at": "2026-11-23T03:00:09Z"}
    return {"event": {**event, "data": an_incident(**values)}}


def only(body: object) -> Alert:
    """The one alert of a webhook."""
    [alert] = read_webhook(body).found
    assert isinstance(alert, Alert), alert
    return alert


def a_signature(body: bytes, secret: bytes = SECRET) -> str:
    """One word of the header."""
    return "v1=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def test_an_incident_is_an_alert() -> None:
    """Known again by its id; how bad it is, its priority says where it is called P1 to P5."""
    alert = only(a_webhook())
    assert (alert.name, alert.severity, alert.status) == ("web is busy", "critical", "firing")
    assert alert.starts_at == datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert fingerprint(alert) == "pagerduty:PGR0VU2"
    assert alert.extra["pagerduty"]["service"] == "API Service"


@pytest.mark.parametrize(
    ("values", "severity"),
    [
        ({"priority": {"summary": "p3"}}, "warning"),
        ({"priority": {"summary": "Sev-1"}}, "high"),
        ({"priority": None, "urgency": "low"}, "low"),
        ({"priority": None, "body": {"details": {"severity": "critical"}}}, "critical"),
        ({"priority": 7, "urgency": None}, "unknown"),
    ],
)
def test_how_bad_it_is(values: dict[str, Any], severity: str) -> None:
    """Priority, else what its details say, else its urgency."""
    assert only(a_webhook(**values)).severity == severity


def test_what_no_label_can_hold_makes_no_incident_invalid() -> None:
    """Too many details, long or broken keys and values: what tells the target is kept, the rest is left out."""
    many = {f"detail-{number}": "x" for number in range(120)}
    broken = {"k" * 300: "x", "n\0ul": "x", "nul": "a\0b", "half": "\ud800", "severity": "s" * 65}
    alert = only(a_webhook(body={"details": {**broken, **many, "namespace": "production", "deployment": "web"}}))
    assert resolve(alert, "default") == Target("default", "Deployment", "web", "production")
    assert len(alert.labels) == MAX_LABELS
    assert not broken.keys() & alert.labels.keys()


def test_details_and_custom_fields_name_the_target() -> None:
    """They are read as labels; what cannot be one is left out."""
    details = {"namespace": "production", "deployment": "web", "alertname": "HighCPUUsage", "n": 7, "x": "y" * 5000}
    alert = only(a_webhook(body={"type": "incident_body", "details": details}))
    assert resolve(alert, "default") == Target("default", "Deployment", "web", "production")
    assert alert.name == "HighCPUUsage"
    fields = [{"name": "namespace", "value": "production"}, {"name": "pod", "value": "web-1"}, {"name": 7}, 7]
    assert resolve(only(a_webhook(custom_fields=fields)), "default") == Target("default", "Pod", "web-1", "production")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("incident.resolved", "resolved"), ("incident.reopened", "firing"), ("incident.unacknowledged", "firing")],
)
def test_what_ends_and_what_begins(kind: str, status: str) -> None:
    """An incident resolves as an alert does, and fires again when it is reopened."""
    assert only(a_webhook(kind)).status == status


@pytest.mark.parametrize("kind", ["incident.acknowledged", "incident.annotated", "pagey.ping", "service.updated"])
def test_what_only_tells_about_one(kind: str) -> None:
    """Other events bring no alert, and say so."""
    received = read_webhook(a_webhook(kind))
    assert received.found == ()
    assert kind in received.note


def test_what_is_broken() -> None:
    """No event is unreadable; an incident that is no alert is invalid."""
    bodies: list[Any] = [None, [], {}, {"event": 7}, {"event": {"event_type": 7}}]
    for body in [*bodies, {"event": {"event_type": "incident.triggered"}}]:
        with pytest.raises(Unreadable, match=r"event|body"):
            read_webhook(body)
    for values in ({"title": None}, {"title": 7}, {"id": 7}, {"created_at": "yesterday"}):
        [found] = read_webhook(a_webhook(**values)).found
        assert isinstance(found, Invalid), values
    assert len(only(a_webhook(title="x" * 1024)).name) == 256


def test_signatures() -> None:
    """Any of several counts; a forged, cut or missing one does not, nor one of another body or version."""
    body = b'{"event":{}}'
    good = a_signature(body)
    for signature in (good, f"v1=0000, {good}", f"{good},{a_signature(body, b'next')}"):
        assert verify({SIGNATURES: signature}, body, secrets=[b"another", SECRET], now=0).scheme == "pagerduty"
    for forged in ("", "v1=", good[:-1], good.upper(), good.replace("v1=", "v2="), a_signature(body, b"x"), "é"):
        with pytest.raises(BadSignature):
            verify({SIGNATURES: forged}, body, secrets=[SECRET], now=0)
    with pytest.raises(BadSignature):
        verify({SIGNATURES: good}, body + b" ", secrets=[SECRET], now=0)


@given(json_values)
def test_nothing_breaks_the_reader(data: Any) -> None:
    """Whatever the incident is, it is an alert, invalid or unreadable."""
    for body in ({"event": {"event_type": "incident.triggered", "data": data}}, a_webhook(title=data, priority=data)):
        try:
            found = read_webhook(body).found
        except Unreadable:
            continue
        assert all(isinstance(one, Alert | Invalid) for one in found)
