"""Which pods a rule keeps from us: asked about all of them before an action that would move many."""

from executor_service.actions.run import Run
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.guards.rules import Refusal


async def shielded(run: Run, pods: list[dict[str, Json]]) -> dict[str, Refusal]:
    """By `namespace/name`, the rule that says no to any change of the pod. Raises ActionFailedError when unknown."""
    found: dict[str, Refusal] = {}
    for pod in pods:
        metadata = pod["metadata"]
        refusal = await run.world.guard.refusal(ObjectRef("Pod", metadata["namespace"], metadata["name"]), pod)
        if refusal is not None:
            found[name_of(pod)] = refusal
    return found


def refuse_shielded(found: dict[str, Refusal], what: str, way_out: str) -> None:
    """Raise (refused, forbidden) when there are any: every pod is named with its rule, and nothing was changed."""
    if not found:
        return
    rules = "; ".join(f"{name}: {refusal.message}" for name, refusal in sorted(found.items()))
    names = ", ".join(sorted(found))
    first = found[min(found)]
    about = {"rule": first.rule, "field": "pods", "value": names}
    text = f"{first.rule}: pods {names} keep {what} from being done: {rules} ({way_out})"
    raise ActionFailedError(ErrorClass.FORBIDDEN, text, refused=True, about=about)


def name_of(pod: dict[str, Json]) -> str:
    """As people say it: `namespace/name`."""
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
