"""Family rollouts: back to an earlier revision of a Deployment."""

from typing import Annotated

from pydantic import Field

from executor_service.actions.requirements import READ_PODS, rights
from executor_service.actions.restarts import RESTARTED_BY
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.actions.workloads import controller_of, revision_of, rollout_facts, wait_for_rollout
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.pointers import differences
from executor_service.kubernetes.writing import plan_patch

_HASH_LABEL = "pod-template-hash"
_KUBECTL_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


class RollbackDeployment(Namespaced):
    """Parameters of rollback_deployment."""

    revision: Annotated[
        int | None, Field(ge=1, description="Revision to go to; default the newest earlier one that differs")
    ] = None
    wait_for_ready: bool = Field(default=True, description="Wait until all pods are ready")
    timeout: str = Field(default="5m", pattern=r"^[1-9]\d{0,4}(s|m|h)$", description="How long to wait, such as 5m")


async def rollback_deployment(run: Run, parameters: RollbackDeployment) -> Done:
    """Write the pod template of an earlier ReplicaSet back into the Deployment."""
    ref = ObjectRef("Deployment", parameters.namespace, parameters.resource_name)

    async def plan() -> Planned:
        current = await run.read(ref)
        chosen = _choose(ref, await _revisions(run, current), current, parameters.revision)
        target = revision_of(chosen)
        template = _without_hash(chosen["spec"]["template"])
        changed = differences(current["spec"]["template"], template, "/spec/template")
        write = plan_patch(ref, current, {item.pointer: item.after for item in changed})
        return (write.noting({"to": target, "from": revision_of(current)}), current) if write else None

    write = await run.change("template", ref, plan)
    if parameters.wait_for_ready:
        run.shorten(_seconds(parameters.timeout))
        await wait_for_rollout(run, ref)
    facts = await rollout_facts(run, ref)
    if write is None:
        return Done(f"{ref} already runs that template", {"already": True} | facts)
    verb = "would be rolled back" if run.dry_run else "rolled back"
    revisions = {"from_revision": write.notes["from"], "to_revision": write.notes["to"]}
    return Done(f"{ref} {verb} from revision {write.notes['from']} to {write.notes['to']}", revisions | facts)


async def _revisions(run: Run, deployment: dict[str, Json]) -> dict[int, dict[str, Json]]:
    """The Deployment's own ReplicaSets by revision."""
    metadata = deployment["metadata"]
    sets = await run.list("ReplicaSet", metadata["namespace"])
    owned = [item for item in sets if (controller_of(item) or {}).get("uid") == metadata["uid"]]
    return {revision_of(item): item for item in owned if revision_of(item)}


def _choose(
    ref: ObjectRef, revisions: dict[int, dict[str, Json]], current: dict[str, Json], wanted: int | None
) -> dict[str, Json]:
    """The revision asked for, else the newest earlier one that runs something else: a mere restart is no way back."""
    if wanted is not None:
        if wanted not in revisions:
            known = ", ".join(str(number) for number in sorted(revisions)) or "none"
            raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} has no revision {wanted} (known: {known})")
        return revisions[wanted]
    now, running = revision_of(current), _essence(current["spec"]["template"])
    for number in sorted((number for number in revisions if number < now), reverse=True):
        if _essence(revisions[number]["spec"]["template"]) != running:
            return revisions[number]
    raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} has no revision before {now} that runs anything else")


def _essence(template: dict[str, Json]) -> dict[str, Json]:
    """The template without what the controller and restarts add."""
    bare = _without_hash(template)
    marks = (bare["metadata"].get("annotations") or {}).items()
    kept = {name: value for name, value in marks if name not in {RESTARTED_BY, _KUBECTL_RESTARTED_AT}}
    metadata = {name: value for name, value in bare["metadata"].items() if value}
    return bare | {"metadata": metadata | {"annotations": kept}}


def _without_hash(template: dict[str, Json]) -> dict[str, Json]:
    """The template as the Deployment wrote it: the hash label is the controller's."""
    metadata = template.get("metadata") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != _HASH_LABEL}
    return template | {"metadata": metadata | {"labels": labels}}


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNIT_SECONDS[text[-1]]


SPECS = (
    ActionSpec(
        name="rollback_deployment",
        family="rollouts",
        description="Return a Deployment to an earlier revision (by default the previous one).",
        parameters=RollbackDeployment,
        target_kinds=("Deployment",),
        risk="medium",
        timeout_seconds=300,
        perform=rollback_deployment,
        needs=(rights("Deployment", "get", "patch"), rights("ReplicaSet", "list"), READ_PODS),
        aliases={"rollback": {}},
        done_when="every pod runs the earlier template and is ready",
    ),
)
