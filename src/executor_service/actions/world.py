"""What all runs share, what the operator allows, and how a run is interrupted from outside."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from executor_service.actions.locks import ObjectLocks
from executor_service.actions.settling import Settler
from executor_service.alertmanager import Alertmanager
from executor_service.contract import ObjectRef
from executor_service.guards.guard import Guard
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.surroundings import Surroundings
from executor_service.ledger.ledger import Ledger
from executor_service.notify.channels import Channels
from executor_service.notify.webhooks import Webhooks
from executor_service.prometheus import Prometheus


class CancelledByCallerError(Exception):
    """The caller asked to stop, and the action is at a point where it can."""


class StoppingError(Exception):
    """The service stops; the action goes on after the next start."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator has said: which cluster this is, and which secrets and network components may be used."""

    cluster: str
    """The cluster that this executor serves."""
    secrets: tuple[str, ...] = ()
    """Those that may be rotated: patterns of namespace/name."""
    readable: tuple[str, ...] = ()
    """Those whose values actions may use: patterns of namespace/name."""
    components: Mapping[str, ObjectRef] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """What all runs share."""

    kube: KubeClient
    ledger: Ledger
    locks: ObjectLocks
    settler: Settler
    channels: Channels
    guard: Guard
    irreversible: Mapping[str, str]
    """Why an action type cannot be undone, for those that cannot."""
    undo_seconds: float
    undone_forwards: frozenset[str]
    """Actions whose effects are taken back in the order in which they were made."""
    around: Callable[[], Awaitable[Surroundings]]
    alertmanager: Alertmanager
    prometheus: Prometheus
    webhooks: Webhooks
    allowed: Allowed
