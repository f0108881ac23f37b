"""Which form a delivery has, and how its body becomes alerts: when it comes, and again when it is replayed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from workflow_service.domain.alert import shown
from workflow_service.domain.alertmanager import read_notification
from workflow_service.domain.cloud_events import is_json, read_batch, read_event
from workflow_service.domain.errors import Violation
from workflow_service.domain.pagerduty import read_webhook
from workflow_service.domain.received import Received, Unreadable, expect_object, read_alert
from workflow_service.intake.bodies import document

SIGNATURES = "x-pagerduty-signature"
_ATTRIBUTE = "ce-"

Headers = Mapping[str, str]


class Form(StrEnum):
    """What the body of a delivery is."""

    ALERT = "alert"  # one alert in the specification's shape (/api/v1/execute)
    WORKFLOW = "workflow"  # one such alert in the body of POST /api/v1/workflows
    ALERTMANAGER = "alertmanager"
    CLOUD_EVENT = "cloudevent"
    CLOUD_EVENT_IN_HEADERS = "cloudevent_binary"
    CLOUD_EVENTS = "cloudevents_batch"
    PAGERDUTY = "pagerduty"


TELLS_THE_END = frozenset({Form.ALERTMANAGER, Form.PAGERDUTY})  # who sends these says, too, when it is over


def form_of(headers: Headers) -> Form:
    """The form of a delivery to /api/v1/alerts, by its headers (names in lower case)."""
    if SIGNATURES in headers:
        return Form.PAGERDUTY
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/cloudevents+json":
        return Form.CLOUD_EVENT
    if media_type == "application/cloudevents-batch+json":
        return Form.CLOUD_EVENTS
    return Form.CLOUD_EVENT_IN_HEADERS if f"{_ATTRIBUTE}specversion" in headers else Form.ALERTMANAGER


def needed(form: Form, headers: Headers) -> dict[str, str]:
    """Those headers without which the body could not be read again."""
    if form is not Form.CLOUD_EVENT_IN_HEADERS:
        return {}
    return {name: text for name, text in headers.items() if name.startswith(_ATTRIBUTE) or name == "content-type"}


def read(form: Form, headers: Headers, body: bytes) -> Received:
    """The alerts in a delivery.

    Raises:
        Unreadable: no alert can be told in it.
    """
    if form is Form.CLOUD_EVENT_IN_HEADERS:
        return read_event(_event_in_headers(headers, body))
    return _READERS[form](document(body))


def _one(found: object) -> Received:
    return Received((read_alert(found),))


def _one_within(found: object) -> Received:
    return _one(expect_object(found, "body").get("alert"))


def _cloud_event(found: object) -> Received:
    return read_event(_with_data(found))


def _cloud_events(found: object) -> Received:
    return read_batch([_with_data(one) for one in found] if isinstance(found, list) else found)


_READERS: Mapping[Form, Callable[[object], Received]] = {
    Form.ALERT: _one,
    Form.WORKFLOW: _one_within,
    Form.ALERTMANAGER: read_notification,
    Form.CLOUD_EVENT: _cloud_event,
    Form.CLOUD_EVENTS: _cloud_events,
    Form.PAGERDUTY: read_webhook,
}


def _with_data(event: object) -> object:
    """The event with the JSON that its `data_base64` holds as `data`; as it is when that is none."""
    if not isinstance(event, Mapping) or not isinstance(event.get("data_base64"), str):
        return event
    try:
        data = document(base64.b64decode(event["data_base64"], validate=True))
    except (binascii.Error, ValueError, Unreadable):
        return event
    return {**{key: value for key, value in event.items() if key != "data_base64"}, "data": data}


def _event_in_headers(headers: Headers, body: bytes) -> dict[str, Any]:
    """An event whose attributes are headers and whose data is the body (CloudEvents HTTP binding, section 3.1)."""
    event: dict[str, Any] = {
        name.removeprefix(_ATTRIBUTE): unquote(text, errors="replace")
        for name, text in headers.items()
        if name.startswith(_ATTRIBUTE)
    }
    media_type = headers.get("content-type", "")
    if media_type:
        event["datacontenttype"] = media_type
    if "data" in event or "data_base64" in event:
        found = Violation("ce-data", shown(event.get("data")), "must not be there: the data is the body")
        raise Unreadable("the delivery cannot be read", [found])
    if body and is_json(media_type):
        event["data"] = document(body)
    return event
