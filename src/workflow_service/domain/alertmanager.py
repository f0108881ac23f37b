"""Alertmanager's webhook, version 4: the body of one notification -> its alerts.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Every alert carries all of its labels
and a status of its own: a group that is firing may hold resolved ones. Unknown fields are kept; the version may be
missing, for users may send a payload of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_service.domain.alert import Alert
from workflow_service.domain.errors import Violation
from workflow_service.domain.received import (
    Invalid,
    Received,
    Unreadable,
    absent,
    bounded,
    expect_list,
    expect_object,
    read_alert,
)

# Alertmanager's names, and the specification's for the same.
_NAMES: Mapping[str, str] = {"startsAt": "starts_at", "endsAt": "ends_at", "updatedAt": "updated_at"}


def read_notification(document: object) -> Received:
    """The alerts of one notification.

    Raises:
        Unreadable: it is no object, or has no list of alerts.
    """
    body = expect_object(document, "body")
    if "alerts" not in body:
        rule = "must be there: a list, as in Alertmanager's webhook (one bare alert goes to /api/v1/execute)"
        raise Unreadable("the delivery cannot be read", [Violation("alerts", None, rule)])
    alerts = [] if body["alerts"] is None else expect_list(body["alerts"], "alerts")  # null: Go's empty list
    status = body.get("status")
    found = bounded((_alert(item, status) for item in alerts), "alerts")
    return Received(found, truncated=_truncated(body.get("truncatedAlerts")))


def _alert(item: object, group_status: object) -> Alert | Invalid:
    if not isinstance(item, Mapping):
        return read_alert(item)
    document: dict[Any, Any] = {key: value for key, value in item.items() if key not in _NAMES}
    document |= {_NAMES[key]: value for key, value in item.items() if key in _NAMES and not absent(value)}
    if absent(document.get("status")) and isinstance(group_status, str):
        document["status"] = group_status
    labels = document.get("labels")
    if absent(document.get("namespace")) and isinstance(labels, Mapping):
        # Where the scraped target has a namespace of its own, Prometheus moves the subject's there.
        document["namespace"] = labels.get("exported_namespace") or None
    return read_alert(document, raw=item)


def _truncated(value: object) -> int:
    """How many alerts the sender has left out because of its own bound (`max_alerts`)."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0
