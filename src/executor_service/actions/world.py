"""What all runs share, and how a run is interrupted from outside."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from executor_service.actions.locks import ObjectLocks
from executor_service.actions.settling import Settler
from executor_service.guards.guard import Guard
from executor_service.kubernetes.client import KubeClient
from executor_service.ledger.ledger import Ledger
from executor_service.notify.channels import Channels


class CancelledByCallerError(Exception):
    """The caller asked to stop, and the action is at a point where it can."""


class StoppingError(Exception):
    """The service stops; the action goes on after the next start."""


@dataclass(frozen=True, slots=True)
class World:
    """What all runs share."""

    kube: KubeClient
    ledger: Ledger
    locks: ObjectLocks
    settler: Settler
    channels: Channels
    guard: Guard
    protected_namespaces: Container[str]
    """Namespaces in which nothing is changed."""
    irreversible: Mapping[str, str]
    """Why an action type cannot be undone, for those that cannot."""
    undo_seconds: float
