"""CloudEvents 1.0: one event, in its JSON form -> the alerts in its data.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md (attributes) and formats/json-format.md. The
data is an alert in the specification's shape, or a notification of Alertmanager's. The event fills what the data leaves
out: `type` the name, `subject` the resource, `time` the start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from workflow_service.domain.alert import Alert, shown
from workflow_service.domain.alertmanager import read_notification
from workflow_service.domain.errors import Rejected, Violation
from workflow_service.domain.received import (
    Invalid,
    Received,
    Unreadable,
    absent,
    bounded,
    expect_list,
    expect_object,
    invalid,
    read_alert,
)

_REQUIRED = ("id", "source", "type")
_RESOURCE = re.compile(r"[A-Za-z.]{1,63}/[a-z0-9][a-z0-9.-]{0,252}")  # kind/name
_JSON_TYPE = re.compile(r"(application|text)/([a-z0-9.+-]+\+)?json", re.IGNORECASE)


class _BadEvent(Rejected):
    """An event that breaks the rules of CloudEvents."""


def read_event(document: object) -> Received:
    """The alerts of one event.

    Raises:
        Unreadable: it is no object at all.
    """
    event = expect_object(document, "body")
    try:
        return _read(event)
    except (_BadEvent, Unreadable) as error:
        return Received((invalid(error, event),))


def read_batch(document: object) -> Received:
    """The alerts of a batch, one event after the other.

    Raises:
        Unreadable: it is no list.
    """
    items, parts = expect_list(document, "body"), list[Received]()

    def each() -> Iterator[Alert | Invalid]:
        for item in items:
            parts.append(_of_a_batch(item))
            yield from parts[-1].found

    found = bounded(each(), "body")
    return Received(found, truncated=sum(part.truncated for part in parts))


def is_json(media_type: str) -> bool:
    """Whether data of this media type is JSON; CloudEvents takes data of no type for it."""
    return not media_type or _JSON_TYPE.fullmatch(media_type.partition(";")[0].strip()) is not None


def _of_a_batch(item: object) -> Received:
    try:
        return read_event(item)
    except Unreadable as error:
        return Received((invalid(error, item),))


def _read(event: Mapping[str, Any]) -> Received:
    _check(event)
    data = event.get("data")
    if isinstance(data, Mapping) and isinstance(data.get("alerts"), list):
        return read_notification(data)
    if absent(data):
        data = {}
    if not isinstance(data, Mapping):
        raise _BadEvent("the event cannot be read", [Violation("data", shown(data), "must be a JSON object")])
    if "alerts" in data and not _named(data):  # a notification without alerts is none, and no alert either
        raise _BadEvent("the event cannot be read", [Violation("data.alerts", shown(data["alerts"]), "must be a list")])
    return Received((_alert(event, data),))


def _check(event: Mapping[str, Any]) -> None:
    broken = []
    if event.get("specversion") != "1.0":
        broken.append(Violation("specversion", shown(event.get("specversion")), 'must be "1.0"'))
    for name in _REQUIRED:
        value = event.get(name)
        if not isinstance(value, str) or not value.strip():
            broken.append(Violation(name, shown(value), "must be a string that is not empty"))
    media_type = event.get("datacontenttype") or ""
    if not isinstance(media_type, str) or not is_json(media_type):
        broken.append(Violation("datacontenttype", shown(media_type), "must be JSON, such as application/json"))
    if "data_base64" in event:  # whoever knows how has put what it held into `data`
        broken.append(Violation("data_base64", shown(event["data_base64"]), "must be JSON in base64"))
    if broken:
        raise _BadEvent("the event cannot be read", broken)


def _alert(event: Mapping[str, Any], data: Mapping[str, Any]) -> Alert | Invalid:
    document = {**data, "cloudevent": {key: event[key] for key in event if key != "data"}}
    if not _named(data):
        document["name"] = event["type"]
    subject = event.get("subject")
    if absent(data.get("resource")) and isinstance(subject, str) and _RESOURCE.fullmatch(subject):
        document["resource"] = subject
    if absent(data.get("starts_at")) and not absent(event.get("time")):
        document["starts_at"] = event["time"]
    return read_alert(document, raw=event)


def _named(data: Mapping[str, Any]) -> bool:
    """Whether the data itself says what the alert is called."""
    labels = data.get("labels")
    return not absent(data.get("name")) or (isinstance(labels, Mapping) and not absent(labels.get("alertname")))
