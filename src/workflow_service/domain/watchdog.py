"""The alert that always fires, so that its silence tells: what it looks like, and when it is missed. Pure.

Prometheus' own is called Watchdog; when it stops coming, nobody knows what else has stopped coming.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflow_service.domain.alert import Alert

NAME = "alertname"  # stands for the alert's name, whichever way it came


@dataclass(frozen=True, slots=True)
class Watchdog:
    """One that is expected: whatever has these labels."""

    labels: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """Such as `alertname=Watchdog,cluster=eu`."""
        return ",".join(f"{label}={value}" for label, value in self.labels)

    def is_it(self, alert: Alert) -> bool:
        """Whether this alert is the one."""
        return all((alert.name if label == NAME else alert.labels.get(label)) == value for label, value in self.labels)


def which(watchdogs: Sequence[Watchdog], alert: Alert) -> Watchdog | None:
    """The watchdog that an alert is; None: it is a real one."""
    return next((one for one in watchdogs if one.is_it(alert)), None)


def is_missed(seen_at: datetime, listening_since: datetime, interval: timedelta, now: datetime) -> bool:
    """Whether it should have come by now; before we listened, we could not have heard it."""
    return now - max(seen_at, listening_since) > interval
