"""Reading alerts: what senders really send is accepted, what nobody could carry on is refused by name."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.alert import alert_from_json, alert_to_json, fingerprint, severity_rank
from workflow_service.domain.errors import InvalidAlert, Violation

# What Go's encoder makes of the specification's Alert with only a name and labels set.
GO_ALERT: dict[str, Any] = {
    "id": "",
    "name": "HighCPUUsage",
    "summary": "",
    "description": "",
    "severity": "critical",
    "status": "",
    "labels": {"alertname": "HighCPUUsage"},
    "annotations": None,
    "starts_at": "0001-01-01T00:00:00Z",
    "ends_at": None,
    "updated_at": "0001-01-01T00:00:00Z",
    "namespace": "production",
    "resource": "pod/web-server-123",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_fields = st.sampled_from([*GO_ALERT, "fingerprint", "generatorURL", "anything"])
any_documents = json_values | st.dictionaries(_fields, json_values, max_size=8)
_words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
_times = st.sampled_from(
    [None, "", "0001-01-01T00:00:00Z", "2026-11-22T03:00:00.123456789+02:00", "2026-11-22t03:00:00z"]
)
good_documents = st.fixed_dictionaries(
    {"name": _words.map(lambda text: f"N{text}")},
    optional={
        **{
            field: st.none() | _words for field in ("id", "severity", "namespace", "resource", "summary", "description")
        },
        "status": st.sampled_from([None, "", "firing", "resolved", "Firing"]),
        **{
            field: st.none() | st.dictionaries(_words, st.none() | _words, max_size=4)
            for field in ("labels", "annotations")
        },
        **dict.fromkeys(("starts_at", "ends_at", "updated_at"), _times),
        "generatorURL": _words,
    },
)


def violations(document: object) -> dict[str, Violation]:
    """What is wrong with a document, by field."""
    with pytest.raises(InvalidAlert) as refused:
        alert_from_json(document)
    return {violation.field: violation for violation in refused.value.violations}


def test_what_go_sends_is_understood() -> None:
    """Empty strings, null maps and Go's zero time are absent, not values."""
    alert = alert_from_json(GO_ALERT)
    assert (alert.id, alert.starts_at, alert.ends_at, alert.updated_at) == (None, None, None, None)
    assert (alert.status, alert.severity, alert.annotations) == ("firing", "critical", {})
    assert (alert.namespace, alert.resource) == ("production", "pod/web-server-123")


def test_what_alertmanager_knows_fills_the_gaps() -> None:
    """Name, severity, namespace and texts come from labels and annotations where the fields are empty."""
    alert = alert_from_json(
        {
            "labels": {"alertname": "KubePodCrashLooping", "severity": "Warning", "namespace": "production"},
            "annotations": {"summary": "a pod crashes", "description": "again and again"},
        }
    )
    assert (alert.name, alert.severity, alert.namespace) == ("KubePodCrashLooping", "warning", "production")
    assert (alert.summary, alert.description) == ("a pod crashes", "again and again")


def test_fields_win_over_labels() -> None:
    """What the sender says of the alert itself is not replaced by a label."""
    alert = alert_from_json({"name": "A", "namespace": "one", "labels": {"alertname": "B", "namespace": "two"}})
    assert (alert.name, alert.namespace, alert.severity) == ("A", "one", "unknown")


def test_unknown_fields_are_kept() -> None:
    """A field we do not know is neither refused nor lost."""
    alert = alert_from_json(
        {"name": "A", "generatorURL": "http://prometheus/graph", "nested": {"deep": [1, None, True]}}
    )
    assert alert_to_json(alert)["generatorURL"] == "http://prometheus/graph"
    assert alert.extra["nested"] == {"deep": [1, None, True]}


def test_times_are_read_in_utc() -> None:
    """RFC 3339 with nanoseconds and offset is understood to the microsecond."""
    alert = alert_from_json({"name": "A", "starts_at": "2026-11-22T05:00:00.123456789+02:00"})
    assert alert.starts_at == datetime(2026, 11, 22, 3, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", 5),
        ("name", "n" * 257),
        ("severity", ["critical"]),
        ("status", "pending"),
        ("namespace", {"name": "production"}),
        ("description", "d" * 16385),
        ("summary", "a\0b"),
        ("resource", "pod/\ud800"),
        ("starts_at", "yesterday"),
        ("starts_at", "2026-11-22T03:00:00"),
        ("starts_at", "2026-13-22T03:00:00Z"),
        ("ends_at", "9999-12-31T23:59:59-05:00"),
        ("updated_at", 1700000000),
        ("labels", ["a"]),
        ("labels", {f"l{number}": "x" for number in range(101)}),
        ("annotations", "none"),
    ],
)
def test_a_bad_field_is_named(field: str, value: object) -> None:
    """Each rule that a field breaks is reported under that field's name."""
    assert field in violations({**GO_ALERT, "labels": {}, field: value})


@pytest.mark.parametrize("value", [1, 1.5, True, ["x"], {"x": "y"}, "x" * 4097, "\0", "\udfff"])
def test_a_bad_label_is_named(value: object) -> None:
    """Label values are clean strings of bearable length; anything else is named by its label."""
    assert "labels.replicas" in violations({"name": "A", "labels": {"replicas": value}})


def test_absent_labels_are_dropped() -> None:
    """A null or empty label means the same as none, as it does to Prometheus."""
    assert alert_from_json({"name": "A", "labels": {"a": None, "b": "", "c": "d"}}).labels == {"c": "d"}


@pytest.mark.parametrize("value", [{"a": "\0"}, ["\ud800"], {"\0": 1}, float("nan"), float("inf"), 2**63, "x" * 16385])
def test_what_cannot_be_stored_is_refused_wherever_it_hides(value: object) -> None:
    """Unknown fields are tolerated, but not what no database or JSON answer could carry."""
    assert violations({"name": "A", "other": value})


def test_depth_is_bounded() -> None:
    """A deeply nested unknown field is refused, whatever its depth."""
    deep: object = "x"
    for _ in range(50_000):
        deep = [deep]
    assert "deeper" in next(iter(violations({"name": "A", "other": deep}).values())).rule
    while isinstance(deep, list) and deep:  # take it apart: freeing so deep a list at once is the interpreter's problem
        deep = deep.pop()


def test_all_violations_are_reported_at_once() -> None:
    """A sender learns everything that is wrong from one answer."""
    found = violations({"severity": 1, "status": "odd", "labels": {"x": 1}, "starts_at": "now"})
    assert {"name", "severity", "status", "labels.x", "starts_at"} <= set(found)


def test_violations_can_be_answered_in_json() -> None:
    """What a violation repeats of a broken input is itself sound."""
    for violation in violations(
        {"name": "\ud800\0", "labels": {"\ud800": 1}, "x": 2**70, "y": {"z": [float("nan")]}}
    ).values():
        json.dumps([violation.field, violation.value], allow_nan=False).encode()
        str(violation).encode()


@pytest.mark.parametrize("document", [None, [], "alert", 5, True])
def test_only_an_object_is_an_alert(document: object) -> None:
    """Other JSON is refused as a whole."""
    assert list(violations(document)) == ["alert"]


@given(any_documents)
def test_arbitrary_json_is_read_or_refused(document: object) -> None:
    """No JSON whatever raises anything but InvalidAlert; what is read, and the refusal itself, can be written."""
    try:
        written: object = alert_to_json(alert_from_json(document))
    except InvalidAlert as refused:
        written = [str(refused), [[violation.field, violation.value] for violation in refused.violations]]
    json.dumps(written, allow_nan=False, ensure_ascii=False).encode()


@given(good_documents)
def test_writing_and_reading_gives_the_same_alert(document: dict[str, Any]) -> None:
    """What is stored or sent on reads back as what it was."""
    alert = alert_from_json(document)
    assert alert_from_json(json.loads(json.dumps(alert_to_json(alert)))) == alert


def test_fingerprint_is_of_what_the_alert_is_about() -> None:
    """Repetitions share it whatever their times and texts; another label makes another one."""
    first = alert_from_json({**GO_ALERT, "starts_at": "2026-11-22T03:00:00Z", "summary": "one"})
    again = alert_from_json({**GO_ALERT, "ends_at": "2026-11-22T04:00:00Z", "summary": "two"})
    other = alert_from_json({**GO_ALERT, "labels": {"alertname": "HighCPUUsage", "pod": "web-2"}})
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)
    assert len(fingerprint(first)) == 16


def test_alertmanagers_fingerprint_is_used() -> None:
    """A sender that already tells its alerts apart is believed."""
    assert fingerprint(alert_from_json({**GO_ALERT, "fingerprint": "c0ffee0123456789"})) == "c0ffee0123456789"


def test_severity_orders_the_queue() -> None:
    """Critical first, unknown before what is called harmless."""
    order = ["critical", "high", "medium", "page?", "low"]
    assert sorted(order, key=severity_rank) == order
    assert severity_rank("error") == severity_rank("HIGH")
    assert severity_rank("warning") == severity_rank("medium")
