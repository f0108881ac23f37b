"""PagerDuty's webhooks, version 3: one event -> its incident as an alert.

Source: https://developer.pagerduty.com/docs/webhooks-overview (one event per request, the incident in `event.data`) and
/docs/verifying-signatures (HMAC-SHA256 of the body, in hex, as one of the `v1=` words of X-PagerDuty-Signature).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_service.domain.alert import MAX_LABELS, fits_as_label, shown
from workflow_service.domain.errors import Violation
from workflow_service.domain.received import Received, Unreadable, absent, expect_object, read_alert
from workflow_service.domain.target import TELLING

# What begins an alert and what ends it. Every other event (acknowledged, annotated, ping ...) tells about one.
_STATUSES: Mapping[str, str] = {
    "incident.triggered": "firing",
    "incident.reopened": "firing",
    "incident.unacknowledged": "firing",
    "incident.resolved": "resolved",
}
_SEVERITIES: Mapping[str, str] = {"p1": "critical", "p2": "high", "p3": "warning", "p4": "low", "p5": "info"}


def read_webhook(document: object) -> Received:
    """The alert of one event; none when the event neither begins nor ends an incident.

    Raises:
        Unreadable: there is no event in it.
    """
    event = expect_object(expect_object(document, "body").get("event"), "event")
    kind = event.get("event_type")
    if not isinstance(kind, str) or not kind:
        rule = "must be a string such as incident.triggered"
        raise Unreadable("the delivery cannot be read", [Violation("event.event_type", shown(kind), rule)])
    if kind not in _STATUSES:
        return Received((), note=f"{shown(kind)} neither begins nor ends an incident")
    incident = expect_object(event.get("data"), "event.data")
    return Received((read_alert(_document(incident, event, _STATUSES[kind]), raw=event),))


def _document(incident: Mapping[str, Any], event: Mapping[str, Any], status: str) -> dict[str, Any]:
    """The incident in the specification's shape; its custom fields and details are read as labels."""
    title = incident.get("title")
    found = {**_details(incident), **_fields(incident)}
    labels = dict(sorted(found.items(), key=lambda one: one[0] not in TELLING)[:MAX_LABELS])
    return {
        "id": incident.get("id"),
        "name": labels.get("alertname") or (title[:256] if isinstance(title, str) else title),
        "severity": _priority(incident) or labels.get("severity") or incident.get("urgency"),
        "status": status,
        "summary": title,
        "labels": labels,
        "annotations": {"html_url": url} if isinstance(url := incident.get("html_url"), str) else {},
        "starts_at": incident.get("created_at") or event.get("occurred_at"),
        "fingerprint": _fingerprint(incident.get("id")),
        "pagerduty": {"event": event.get("id"), "event_type": event.get("event_type"), "service": _service(incident)},
    }


def _fingerprint(incident_id: object) -> str | None:
    return f"pagerduty:{incident_id}" if isinstance(incident_id, str) and incident_id else None


def _priority(incident: Mapping[str, Any]) -> str | None:
    """What a priority called P1 to P5 means; others have names of their own."""
    priority = incident.get("priority")
    word = priority.get("summary") if isinstance(priority, Mapping) else None
    return _SEVERITIES.get(word.strip().lower()) if isinstance(word, str) else None


def _service(incident: Mapping[str, Any]) -> str | None:
    service = incident.get("service")
    name = service.get("summary") if isinstance(service, Mapping) else None
    return name if isinstance(name, str) else None


def _details(incident: Mapping[str, Any]) -> dict[str, str]:
    body = incident.get("body")
    details = body.get("details") if isinstance(body, Mapping) else None
    return _fitting(details) if isinstance(details, Mapping) else {}


def _fields(incident: Mapping[str, Any]) -> dict[str, str]:
    fields = incident.get("custom_fields")
    named = [one for one in fields if isinstance(one, Mapping)] if isinstance(fields, list) else []
    return _fitting({one.get("name"): one.get("value") for one in named if isinstance(one.get("name"), str)})


def _fitting(values: Mapping[Any, Any]) -> dict[str, str]:
    """What can be a label; the rest stays in the delivery."""
    texts = ((key, text) for key, text in values.items() if isinstance(key, str) and isinstance(text, str))
    return {key: text for key, text in texts if not absent(text) and fits_as_label(key, text)}
