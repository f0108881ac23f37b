"""What every controller works with: the store, the work queue, events, and the usual steps on pods."""

from dataclasses import dataclass

from executor_service.sandbox.controllers.recorder import Recorder
from executor_service.sandbox.controllers.work import Task, WorkQueue
from executor_service.sandbox.deletion import Options, delete
from executor_service.sandbox.kinds import by_plural
from executor_service.sandbox.objects import Object, clone, is_active, is_ready, name_of, namespace_of, owned, same
from executor_service.sandbox.store import Store

SOON = 0.03
"""Seconds until a change is looked at."""


@dataclass(frozen=True, slots=True)
class Control:
    """The tools of a controller."""

    store: Store
    work: WorkQueue
    recorder: Recorder

    def again(self, controller: str, obj: Object, after: float = SOON) -> None:
        """Have a controller look at an object later."""
        self.work.add(Task(controller, namespace_of(obj), name_of(obj)), after)

    def pods_of(self, owner: Object) -> list[Object]:
        """All pods that an owner controls, also those that are ending."""
        return owned(self.store.objects("pods", namespace_of(owner)), owner)

    def delete_pod(self, owner: Object, pod: Object) -> None:
        """Delete a pod on behalf of its owner."""
        delete(self.store, by_plural("pods"), (namespace_of(pod), name_of(pod)), Options())
        self.tell(owner, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    def create_pod(self, owner: Object, pod: Object) -> None:
        """Create a pod on behalf of its owner."""
        self.store.put("pods", pod)
        self.tell(owner, "SuccessfulCreate", f"Created pod: {name_of(pod)}")

    def tell(self, owner: Object, reason: str, message: str) -> None:
        """Record an event of a workload's controller."""
        component = f"{owner['kind'].lower()}-controller"
        self.recorder.record(owner, reason, message, component=component)

    def set_status(self, plural: str, obj: Object, status: Object) -> None:
        """Write a status if it differs."""
        if not same(obj.get("status") or {}, status):
            self.store.put(plural, {**clone(obj), "status": status})


def ready_count(pods: list[Object]) -> int:
    """How many of the pods are ready and not ending."""
    return sum(1 for pod in pods if is_active(pod) and is_ready(pod))
