"""The log subresource of pods: a few plausible lines, as plain text."""

from executor_service.sandbox.errors import bad_request
from executor_service.sandbox.objects import Object, name_of


def log_of(pod: Object, query: dict[str, str]) -> str:
    """The log of a pod's container. Raises ApiError 400 for a container that does not exist or has not started."""
    names = [container["name"] for container in pod["spec"]["containers"]]
    wanted = query.get("container") or names[0]
    if wanted not in names:
        raise bad_request(f"container {wanted} is not valid for pod {name_of(pod)}")
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    status = next((entry for entry in statuses if entry["name"] == wanted), None)
    state: Object = (status or {}).get("state") or {}
    if status is None or (state.get("waiting") and "lastState" not in status):
        reason = (state.get("waiting") or {}).get("reason", "ContainerCreating")
        raise bad_request(f'container "{wanted}" in pod "{name_of(pod)}" is waiting to start: {reason}')
    lines = _lines(status, wanted)
    tail = query.get("tailLines", "")
    return "".join(f"{line}\n" for line in (lines[-int(tail) :] if tail.isdigit() and int(tail) else lines))


def _lines(status: Object, container: str) -> list[str]:
    ended = (status.get("lastState") or {}).get("terminated")
    started = f"{container}: starting {status['image']}"
    if ended:
        return [started, f"{container}: fatal: exiting with code {ended['exitCode']} ({ended['reason']})"]
    return [started, f"{container}: ready"]
