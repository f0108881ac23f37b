"""Family isolation: take a pod out of service without losing what it holds; change who may talk to whom."""

from typing import Annotated

from pydantic import Field

from executor_service.actions.requirements import rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.actions.workloads import controller_of, pod_ready
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef, Write
from executor_service.kubernetes.kinds import KINDS
from executor_service.kubernetes.pointers import escape
from executor_service.kubernetes.writing import plan_patch

_LABEL = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?=[-A-Za-z0-9_.]{0,63}$"
_REPLACING = ("ReplicaSet", "DaemonSet")


class QuarantinePod(Namespaced):
    """Parameters of quarantine_pod."""

    quarantine_label: Annotated[
        str, Field(pattern=_LABEL, max_length=381, description="Label that marks the pod, as key=value")
    ] = "quarantined=true"
    remove_from_service: bool = Field(default=True, description="Take the labels away that services select")


async def quarantine_pod(run: Run, parameters: QuarantinePod) -> Done:
    """Mark a pod and take it out of its services and its controller, which replaces it; the pod itself runs on."""
    ref = ObjectRef("Pod", parameters.namespace, parameters.resource_name)
    key, _, value = parameters.quarantine_label.partition("=")

    async def plan() -> Planned:
        current = await run.read(ref)
        values: dict[str, Json] = {f"/metadata/labels/{escape(key)}": value}
        notes: dict[str, Json] = {"services": []}
        if parameters.remove_from_service:
            selecting = await _selecting(run, current)
            notes = {"services": sorted(selecting), "owner": _owner(ref, current)}
            taken = {label for labels in selecting.values() for label in labels} - {key}
            values |= {f"/metadata/labels/{escape(label)}": None for label in sorted(taken)}
        write = plan_patch(ref, current, values)
        return (write.noting(notes), current) if write else None

    write = await run.change("labels", ref, plan)
    if write is None:
        return Done(f"{ref} is in quarantine already", {"already": True})
    await _wait_for_replacement(run, ref, write)
    text = f"{ref} {'would be' if run.dry_run else 'is'} in quarantine"
    return Done(text, {"services": write.notes["services"], "owner": write.notes.get("owner")})


async def _selecting(run: Run, pod: dict[str, Json]) -> dict[str, list[str]]:
    """The services that select the pod, each with the labels by which it does."""
    labels = pod["metadata"].get("labels") or {}
    services = await run.list("Service", pod["metadata"]["namespace"])
    found = {item["metadata"]["name"]: item["spec"].get("selector") or {} for item in services}
    return {name: sorted(wanted) for name, wanted in found.items() if wanted and wanted.items() <= labels.items()}


def _owner(ref: ObjectRef, pod: dict[str, Json]) -> str | None:
    """The controller; refuse one that would wait for the very pod instead of making another."""
    owner = controller_of(pod)
    if owner is None:
        return None
    if owner["kind"] not in _REPLACING:
        text = f"{ref} belongs to {owner['kind']} {owner['name']}, which cannot replace it while its name is taken"
        raise ActionFailedError(ErrorClass.PERMANENT, f"{text} (remove_from_service: false only marks it)")
    return f"{owner['kind']}/{owner['name']}"


async def _wait_for_replacement(run: Run, ref: ObjectRef, write: Write) -> None:
    """Until the controller, if it has let the pod go, has as many ready pods as it wants."""
    kind, _, name = (write.notes.get("owner") or "").partition("/")
    if not name:
        return
    owner = ObjectRef(kind, ref.namespace, name)

    async def missing() -> str | None:
        found = await run.find(owner)
        if found is None:
            return None
        pods = await run.list("Pod", ref.namespace)
        ours = [pod for pod in pods if (controller_of(pod) or {}).get("uid") == found["metadata"]["uid"]]
        if any(pod["metadata"]["uid"] == write.uid for pod in ours):
            return None if not _lost_selector(found, write) else f"{owner} has not let {ref} go yet"
        wanted = found["spec"].get("replicas") or (found.get("status") or {}).get("desiredNumberScheduled", 0)
        ready = sum(pod_ready(pod) for pod in ours)
        return None if ready >= wanted else f"{ready} of {wanted} pods of {owner} are ready"

    await run.until(missing)


def _lost_selector(owner: dict[str, Json], write: Write) -> bool:
    """Whether a label that we took away is one by which the controller knows its pods."""
    chosen = {f"/metadata/labels/{escape(label)}" for label in owner["spec"]["selector"].get("matchLabels") or {}}
    return any(change.after is None and change.pointer in chosen for change in write.fields)


SPECS = (
    ActionSpec(
        name="quarantine_pod",
        family="isolation",
        description="Take a pod out of its services and keep it for a look; its controller makes another in its place.",
        parameters=QuarantinePod,
        target_kinds=("Pod",),
        risk="medium",
        timeout_seconds=120,
        perform=quarantine_pod,
        needs=(
            rights("Pod", "get", "list", "patch"),
            rights("Service", "list"),
            *(rights(kind, "get") for kind in _REPLACING if kind in KINDS),
        ),
        done_when="the controller has let the pod go and its replacement is ready",
        undone_by="the labels are put back; the controller takes the pod in again and ends one of its pods",
    ),
)
