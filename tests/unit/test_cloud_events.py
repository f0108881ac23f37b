"""CloudEvents 1.0: structured, in headers and in batches; what is broken costs one event and no other."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from tests.unit.test_alert import json_values
from tests.unit.test_alertmanager import a_notification, an_alert
from workflow_service.domain.alert import Alert
from workflow_service.domain.cloud_events import read_batch
from workflow_service.domain.received import MAX_ALERTS, Invalid, Received, Unreadable
from workflow_service.intake.receiving import Form, form_of, needed, read

pytestmark = [pytest.mark.requirement("BR-WF-001")]

ALERT = {"name": "HighCPUUsage", "severity": "high", "namespace": "production", "resource": "deployment/web"}


def an_event(**values: Any) -> dict[str, Any]:
    """One event in its JSON form; None takes an attribute away."""
    event = {
        "specversion": "1.0",
        "id": "7",
        "source": "/monitoring",
        "type": "io.example.alert",
        "time": "2026-11-23T03:00:00Z",
        "data": ALERT,
        **values,
    }
    return {name: value for name, value in event.items() if value is not None}


def structured(event: object) -> Received:
    """What an event in its JSON form holds."""
    return read(Form.CLOUD_EVENT, {}, json.dumps(event).encode())


def in_headers(body: bytes, content_type: str | None = "application/json", **attributes: str) -> Received:
    """What an event whose attributes are headers holds."""
    given = {"specversion": "1.0", "id": "7", "source": "/monitoring", "type": "io.example.alert", **attributes}
    headers = {f"ce-{name}": text for name, text in given.items() if text}
    headers |= {"content-type": content_type} if content_type else {}
    assert form_of(headers) is Form.CLOUD_EVENT_IN_HEADERS
    assert needed(Form.CLOUD_EVENT_IN_HEADERS, {**headers, "authorization": "secret"}) == headers
    return read(Form.CLOUD_EVENT_IN_HEADERS, headers, body)


def only(received: Received) -> Alert:
    """The one alert in it."""
    [alert] = received.found
    assert isinstance(alert, Alert), alert
    return alert


def test_the_data_is_an_alert() -> None:
    """In the specification's shape; the event is kept beside it and tells when it began."""
    alert = only(structured(an_event()))
    assert (alert.name, alert.resource) == ("HighCPUUsage", "deployment/web")
    assert alert.starts_at == datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert alert.extra["cloudevent"]["source"] == "/monitoring"


def test_an_event_may_be_all_there_is() -> None:
    """Without data its type is the name, and a subject such as deployment/web the resource."""
    alert = only(structured(an_event(data=None, subject="deployment/web")))
    assert (alert.name, alert.resource) == ("io.example.alert", "deployment/web")
    assert only(structured(an_event(data={"labels": {"alertname": "A"}}, subject="a word"))).name == "A"


def test_the_data_may_be_a_notification() -> None:
    """Alertmanager's webhook inside an event: all of its alerts."""
    found = structured(an_event(data=a_notification(an_alert(1), {}, an_alert(2)))).found
    assert [type(one) for one in found] == [Alert, Invalid, Alert]


def test_data_in_base64() -> None:
    """JSON in base64 is JSON; anything else there is told."""
    text = base64.b64encode(json.dumps(ALERT).encode()).decode()
    assert only(structured(an_event(data=None, data_base64=text))).name == "HighCPUUsage"
    for broken in ("###", base64.b64encode(b"no JSON").decode(), 7):
        [found] = structured(an_event(data=None, data_base64=broken)).found
        assert isinstance(found, Invalid)
        assert "data_base64" in found.reason


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion"),
        ({"id": None}, "id"),
        ({"source": ""}, "source"),
        ({"type": 7}, "type"),
        ({"datacontenttype": "application/xml", "data": "<a/>"}, "datacontenttype"),
        ({"data": "text"}, "data"),
        ({"data": {"alerts": None}}, "data.alerts"),
        ({"data": {"alerts": {}}}, "data.alerts"),
        ({"data": {"name": "A", "labels": {"x": 1}}}, "labels.x"),
        ({"time": "yesterday"}, "starts_at"),
    ],
)
def test_a_broken_event_says_what_is_wrong(values: dict[str, Any], field: str) -> None:
    """Alone it is one invalid alert; in a batch its neighbours are read."""
    for found in (structured(an_event(**values)).found, read(*_batch(an_event(**values), an_event())).found[:1]):
        [one] = found
        assert isinstance(one, Invalid)
        assert field in one.reason
    assert isinstance(read(*_batch(an_event(**values), an_event())).found[1], Alert)


def _batch(*events: object) -> tuple[Form, dict[str, str], bytes]:
    return Form.CLOUD_EVENTS, {}, json.dumps(events).encode()


def test_a_batch_is_bounded_as_a_whole() -> None:
    """Many lists of alerts in one batch are one long list of alerts."""
    events = [an_event(data={"alerts": [0] * (MAX_ALERTS // 2)}) for _ in range(4)]
    found = read_batch(events).found
    assert len(found) == MAX_ALERTS + 1
    assert isinstance(found[-1], Invalid)
    assert f"at most {MAX_ALERTS}" in found[-1].reason


def test_a_batch() -> None:
    """None, one or many events; one that is no object costs itself."""
    assert read(*_batch()).found == ()
    assert [type(one) for one in read(*_batch(an_event(), 7, an_event())).found] == [Alert, Invalid, Alert]
    with pytest.raises(Unreadable, match="list"):
        read(Form.CLOUD_EVENTS, {}, b"{}")


def test_an_event_in_headers() -> None:
    """Attributes are headers, percent-encoded where they are no ASCII; the data is the body, of JSON or of no type."""
    body = json.dumps(ALERT).encode()
    alert = only(in_headers(body, time="2026-11-23T03:00:00Z", subject="caf%C3%A9"))
    assert alert.name == "HighCPUUsage"
    assert alert.extra["cloudevent"]["subject"] == "café"
    assert only(in_headers(body, None)).name == "HighCPUUsage"
    assert only(in_headers(body, "application/vnd.alert+json; charset=utf-8")).name == "HighCPUUsage"
    assert only(in_headers(b"")).name == "io.example.alert"
    for broken in (in_headers(b"<a/>", "application/xml"), in_headers(body, id="")):
        assert isinstance(broken.found[0], Invalid)
    with pytest.raises(Unreadable, match="JSON"):
        in_headers(b"no JSON")
    with pytest.raises(Unreadable, match="ce-data"):
        in_headers(b"", data="x")


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, Form.ALERTMANAGER),
        ({"content-type": "application/json"}, Form.ALERTMANAGER),
        ({"content-type": "Application/CloudEvents+JSON; charset=UTF-8"}, Form.CLOUD_EVENT),
        ({"content-type": "application/cloudevents-batch+json"}, Form.CLOUD_EVENTS),
        ({"content-type": "application/json", "ce-specversion": "1.0"}, Form.CLOUD_EVENT_IN_HEADERS),
        ({"content-type": "application/cloudevents+json", "ce-specversion": "1.0"}, Form.CLOUD_EVENT),
        ({"content-type": "application/json", "x-pagerduty-signature": ""}, Form.PAGERDUTY),
    ],
)
def test_the_form_is_told_by_headers(headers: dict[str, str], form: Form) -> None:
    """Each form has a mark of its own; what has none is Alertmanager's."""
    assert form_of(headers) is form


@given(json_values)
def test_nothing_breaks_the_reader(data: Any) -> None:
    """Whatever the data is, the event is an alert or invalid."""
    text = json.dumps(an_event(data=data)).encode()
    assert all(isinstance(one, Alert | Invalid) for one in read(Form.CLOUD_EVENT, {}, text).found)
