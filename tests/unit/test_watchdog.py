"""Which alert is the watchdog, and when it is missed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.factories import at
from workflow_service.domain.admission import choose
from workflow_service.domain.admission_facts import Known, Limits, Quiet, about
from workflow_service.domain.alert import Alert
from workflow_service.domain.signatures import sign, verify
from workflow_service.domain.watchdog import is_missed, which
from workflow_service.settings import SettingsError, load
from workflow_service.settings.neighbours import watchdogs

pytestmark = [pytest.mark.requirement("BR-WF-001")]

DOGS = watchdogs("alertname=Watchdog,cluster=eu; alertname=Watchdog")
DOG = Alert("Watchdog", labels={"alertname": "Watchdog", "severity": "none"})


def test_which_it_is() -> None:
    """All labels of it must agree; the first that fits is meant, and the name counts however it came."""
    assert [dog.name for dog in DOGS] == ["alertname=Watchdog,cluster=eu", "alertname=Watchdog"]
    assert which(DOGS, DOG) is DOGS[1]
    assert which(DOGS, Alert("Watchdog")) is DOGS[1]
    assert which(DOGS, Alert("Watchdog", labels={"cluster": "eu"})) is DOGS[0]
    assert which(DOGS, Alert("Watchdogs")) is None
    assert which((), DOG) is None


def test_it_makes_no_workflow() -> None:
    """Whatever is known of it, it is an outcome of its own, before every other rule."""
    limits = Limits(watchdogs=DOGS)
    quiet = Known(quiet=lambda _alert: Quiet("s-1", "a silence", at(500)))
    for status in ("firing", "resolved"):
        found = choose(Alert("Watchdog", status=status), about(DOG, "f1", limits), quiet, limits, at(0))
        assert (found.outcome, found.workflow_id, found.reconsider_at) == ("watchdog", None, None)
        assert [one["rule"] for one in found.trace] == ["watchdog"]


def test_when_it_is_missed() -> None:
    """Once the interval is over since it came, but never for the time in which nobody could hear it."""
    minute = timedelta(minutes=1)
    assert not is_missed(at(0), at(0), minute, at(60))
    assert is_missed(at(0), at(0), minute, at(61))
    assert not is_missed(at(0), at(30), minute, at(61))
    assert is_missed(at(0), at(30), minute, at(91))


def test_what_is_signed_can_be_verified() -> None:
    """The headers are those that Standard Webhooks asks for."""
    secret, body = b"x" * 24, b'{"a":1}'
    assert verify(sign("id-1", body, secret=secret, now=1000.5), body, secrets=[secret], now=1001).id == "id-1"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("WATCHDOG_MATCH", "Watchdog", "must be like alertname=Watchdog,cluster=eu"),
        ("WATCHDOG_MATCH", "alertname=", "must be like alertname=Watchdog,cluster=eu"),
        ("ALARM_URL", "mailto:me", "must be a URL"),
        ("EXECUTORS", "eu", "must be name=https://executor.eu:8084"),
        ("EXECUTORS", "eu=http://a,eu=http://b", "for each cluster once"),
        ("EXECUTORS", "eu=ftp://a", "must be a URL that begins with http:// or https://"),
        ("EXECUTORS", "default=http://a", "must not be CLUSTER_NAME"),
        ("EXECUTOR_TOKEN_FILES", "eu=/dev/null", "must be a cluster of EXECUTORS"),
        ("EXECUTOR_TOKEN_FILES", "eu=/no/such/file", "must be a readable file"),
        ("CLUSTER_LABEL", "a,b", "must be the name of a label"),
    ],
)
def test_what_names_others_is_checked(name: str, value: str, rule: str) -> None:
    """A mistake refuses the start, and says what would be right."""
    with pytest.raises(SettingsError) as error:
        load({name: value})
    problem = error.value.problems[0]
    assert problem.startswith(name)
    assert rule in problem


def test_an_alarm_is_signed() -> None:
    """Who is told has to be able to tell that it comes from us."""
    with pytest.raises(SettingsError, match="ALARM_URL, ALARM_SECRET: must be given together"):
        load({"ALARM_URL": "https://hook.example/x"})
