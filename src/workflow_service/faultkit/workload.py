"""What the alerts of a run are: seeded, each with the trouble that the cluster makes and what a person commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from workflow_service.faultkit.cluster import Target

# Shares in percent. What each sort of alert means stands in rules.yaml.
_SORTS = {"Plain": 45, "Wide": 20, "Instead": 10, "Partial": 10, "Undone": 15}
_TROUBLES: dict[str, int] = {"none": 65, "refuses": 15, "slow": 10, "drops": 10}
_ORDERS: dict[str, int] = {"none": 84, "pause": 6, "cancel": 3, "cancel and undo": 3, "rollback": 4}
_SEVERITIES = ("critical", "high", "warning", "info")


@dataclass(frozen=True, slots=True)
class Order:
    """What a person commands, so many seconds after the alert was accepted; a pause is resumed after `lasts`."""

    verb: str
    after: float
    lasts: float = 0.0
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert about one target. `troubles` are faults of the cluster's API that its changes meet."""

    number: int
    name: str
    severity: str
    target: Target
    troubles: tuple[dict[str, Any], ...] = field(default=())
    order: Order | None = None

    @property
    def body(self) -> dict[str, Any]:
        """As it is sent."""
        return {
            "name": self.name,
            "severity": self.severity,
            "namespace": self.target.namespace,
            "resource": f"deployment/{self.target.name}",
            "labels": {"alertname": self.name, "severity": self.severity, "number": str(self.number)},
            "annotations": {"summary": "The fault kit sent this."},
        }


def alerts(rng: Random, number: int) -> list[Alert]:
    """That many alerts, each about a target of its own."""
    return [_alert(rng, index) for index in range(number)]


def _alert(rng: Random, number: int) -> Alert:
    sort = _one_of(rng, _SORTS)
    troubles = _troubles(rng, _one_of(rng, _TROUBLES))
    if sort == "Instead":
        troubles = ({"status": 403, "times": 1}, *troubles)  # its first action fails for good, its stand-in does not
    severity = rng.choice(_SEVERITIES)
    order = _order(rng, _one_of(rng, _ORDERS))
    return Alert(number, f"Faultkit{sort}", severity, Target.number(number), troubles, order)


def _troubles(rng: Random, sort: str) -> tuple[dict[str, Any], ...]:
    match sort:
        case "refuses":
            return ({"status": 503, "times": rng.randint(1, 2)},)
        case "slow":
            return ({"delay_seconds": rng.uniform(0.3, 1.5), "times": 2},)
        case "drops":
            return ({"drop": True, "times": 1},)
        case _:
            return ()


def _order(rng: Random, sort: str) -> Order | None:
    after = rng.uniform(0.0, 6.0)
    match sort:
        case "pause":
            return Order("pause", after, lasts=rng.uniform(1.0, 4.0))
        case "cancel":
            return Order("cancel", after)
        case "cancel and undo":
            return Order("cancel", after, undo=True)
        case "rollback":
            return Order("rollback", after)
        case _:
            return None


def _one_of(rng: Random, shares: dict[str, int]) -> str:
    return rng.choices(list(shares), weights=list(shares.values()))[0]
