"""Family backup: copies of data, by volume snapshots or by a Job of the operator's."""

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.jobs import NEEDS, WithSecrets, run_job
from executor_service.actions.requirements import either, rights, served, template
from executor_service.actions.run import Planned, Run
from executor_service.actions.secret_values import NEEDS_WITH
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.surroundings import SNAPSHOTS
from executor_service.kubernetes.writing import plan_creation

_KEEP_UNTIL = "kubernaut.io/keep-until"
_TEMPLATE = "backup_data"


class BackupData(Namespaced, WithSecrets):
    """Parameters of backup_data."""

    resource_type: Literal["pvc", "statefulset", "database"] = Field(default="pvc", description="What is copied")
    destination: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z0-9._:/-]+$", max_length=500, description="Snapshot class, or the Job's destination"),
    ] = None
    retention_days: int = Field(default=30, ge=1, le=365, description="Noted on the snapshot, for whoever cleans up")


async def backup_data(run: Run, parameters: BackupData) -> Done:
    """Snapshot every claim, or run the operator's backup Job for a database."""
    if parameters.resource_type == "database":
        values = {
            "resource_name": parameters.resource_name,
            "destination": parameters.destination or "default",
            "retention_days": str(parameters.retention_days),
        }
        facts = await run_job(run, _TEMPLATE, parameters.namespace, values, parameters.secret_env)
        return Done(f"backup by Job {facts['job']} {'would run' if run.dry_run else 'is complete'}", facts)
    if parameters.secret_env:
        text = "secret_env: only a backup by a Job has an environment (resource_type: database)"
        raise ActionFailedError(ErrorClass.PERMANENT, text, refused=True)
    claims = await _claims(run, parameters)
    snapshots = [await _snapshot(run, parameters, claim) for claim in claims]
    await run.until(lambda: _missing(run, snapshots))
    names = [ref.name for ref in snapshots]
    return Done(f"{len(names)} snapshots {'would be' if run.dry_run else 'are'} taken", {"snapshots": names})


async def _claims(run: Run, parameters: BackupData) -> list[str]:
    if parameters.resource_type == "pvc":
        await run.read(ObjectRef("PersistentVolumeClaim", parameters.namespace, parameters.resource_name))
        return [parameters.resource_name]
    ref = ObjectRef("StatefulSet", parameters.namespace, parameters.resource_name)
    spec = (await run.read(ref))["spec"]
    templates = [item["metadata"]["name"] for item in spec.get("volumeClaimTemplates") or []]
    prefixes = tuple(f"{name}-{ref.name}-" for name in templates)
    claims = await run.list("PersistentVolumeClaim", ref.namespace)
    names = [item["metadata"]["name"] for item in claims]
    ours = sorted(name for name in names if name.startswith(prefixes) and name.rpartition("-")[2].isdigit())
    if not templates or not ours:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} has no claims: there is nothing to copy")
    return ours


async def _snapshot(run: Run, parameters: BackupData, claim: str) -> ObjectRef:
    ref = ObjectRef("VolumeSnapshot", parameters.namespace, f"{claim[:220]}-{run.mark}")

    async def plan() -> Planned:
        here = await run.world.around()
        if SNAPSHOTS not in here.served:
            raise ActionFailedError(ErrorClass.PERMANENT, f"this cluster does not serve {SNAPSHOTS}")
        if parameters.destination is not None and parameters.destination not in here.snapshot_classes:
            known = ", ".join(sorted(here.snapshot_classes)) or "none"
            text = f"destination: there is no snapshot class {parameters.destination} (there is {known})"
            raise ActionFailedError(ErrorClass.PERMANENT, text)
        until = datetime.fromtimestamp(time.time() + parameters.retention_days * 86400, UTC).date().isoformat()
        spec: dict[str, Json] = {"source": {"persistentVolumeClaimName": claim}}
        spec |= {"volumeSnapshotClassName": parameters.destination} if parameters.destination else {}
        return plan_creation(ref, {"metadata": {"annotations": {_KEEP_UNTIL: until}}, "spec": spec}, run.mark)

    await run.change(f"snapshot:{claim}"[:256], ref, plan)
    return ref


async def _missing(run: Run, snapshots: list[ObjectRef]) -> str | None:
    for ref in snapshots:
        status = (await run.read(ref)).get("status") or {}
        if error := (status.get("error") or {}).get("message"):
            return f"{ref} is not ready: {error}"
        if not status.get("readyToUse"):
            return f"{ref} is not ready yet"
    return None


SPECS = (
    ActionSpec(
        name="backup_data",
        family="backup",
        description="Copy the data of a claim or StatefulSet as volume snapshots, or a database by a Job of yours.",
        parameters=BackupData,
        target_kinds=("PersistentVolumeClaim", "StatefulSet"),
        risk="low",
        timeout_seconds=1800,
        perform=backup_data,
        irreversible_reason="a backup is kept on purpose",
        needs=(
            rights("PersistentVolumeClaim", "get", "list"),
            rights("StatefulSet", "get"),
            rights("VolumeSnapshot", "get", "create"),
            rights("VolumeSnapshotClass", "list"),
        ),
        needs_with={"JOB_TEMPLATES": NEEDS, **NEEDS_WITH},
        requires=(either(served(SNAPSHOTS), template(_TEMPLATE)),),
        done_when="every snapshot is ready to use, or the Job is complete",
    ),
)
