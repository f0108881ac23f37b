"""Families storage, database and debugging, the part that is done by Jobs: the operator's templates say how."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.jobs import NEEDS, PATH, WithSecrets, run_job
from executor_service.actions.requirements import READ_PODS, rights, template
from executor_service.actions.run import Run
from executor_service.actions.secret_values import NEEDS_WITH
from executor_service.actions.spec import OBJECT_NAME_PATTERN, ActionSpec, Done, Namespace, Namespaced, Parameters
from executor_service.contract import ActionFailedError, ErrorClass, ObjectRef

Path = Annotated[str, Field(pattern=PATH, max_length=1000, description="Where, as the template's pod sees it")]


class CleanupStorage(WithSecrets):
    """Parameters of cleanup_storage."""

    namespace: Namespace
    path: Path = "/tmp"  # noqa: S108 - a place inside the template's pod
    age_threshold: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}(h|d)$", description="Only what is older")] = "7d"
    dry_run: bool = Field(default=False, description="The Job itself is told to delete nothing")


class CompactStorage(WithSecrets):
    """Parameters of compact_storage."""

    namespace: Namespace
    volume_name: Annotated[
        str,
        Field(
            pattern=OBJECT_NAME_PATTERN, max_length=253, description="Claim of the volume; the template may not need it"
        ),
    ] = "none"


class FailoverDatabase(Namespaced, WithSecrets):
    """Parameters of failover_database."""

    target_replica: Annotated[
        str,
        Field(pattern=OBJECT_NAME_PATTERN, max_length=253, description="Who takes over; `auto`: the template decides"),
    ] = "auto"
    force: bool = Field(default=False, description="Also when it may lose data")


class RepairDatabase(Namespaced, WithSecrets):
    """Parameters of repair_database."""

    repair_type: Literal["index", "full", "corruption_check"] = Field(
        default="corruption_check", description="What is repaired"
    )
    backup_before_repair: bool = Field(default=True, description="The template is told to keep a copy first")


class CreateHeapDump(Namespaced, WithSecrets):
    """Parameters of create_heap_dump: resource_name is a pod."""

    output_path: Path = "/dumps"
    live_objects_only: bool = Field(default=True, description="Leave garbage out")


def _by_job(name: str, after: str) -> Callable[[Run, WithSecrets], Awaitable[Done]]:
    async def perform(run: Run, parameters: WithSecrets) -> Done:
        given = parameters.model_dump(exclude_none=True, exclude={"reason", "namespace", "secret_env"})
        values = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in given.items()}
        namespace = parameters.model_dump()["namespace"]
        facts = await run_job(run, name, namespace, values, parameters.secret_env)
        return Done(f"{after}: Job {facts['job']} {'would run' if run.dry_run else 'is complete'}", facts)

    return perform


async def create_heap_dump(run: Run, parameters: CreateHeapDump) -> Done:
    """Have the template's Job dump the heap of a running pod; it is told the pod's node and container."""
    ref = ObjectRef("Pod", parameters.namespace, parameters.resource_name)
    pod = await run.read(ref)
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    if (pod.get("status") or {}).get("phase") != "Running" or not statuses:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} is not running: there is no heap to dump")
    values = {
        "resource_name": ref.name,
        "output_path": parameters.output_path,
        "live_objects_only": str(parameters.live_objects_only).lower(),
        "node_name": str(pod["spec"].get("nodeName")),
        "container_id": str(statuses[0].get("containerID", "")),
        "container_name": str(statuses[0]["name"]),
        "pod_uid": str(pod["metadata"]["uid"]),
    }
    facts = await run_job(run, "create_heap_dump", parameters.namespace, values, parameters.secret_env)
    return Done(f"heap of {ref}: Job {facts['job']} {'would run' if run.dry_run else 'is complete'}", facts)


def _spec(
    name: str, family: str, parameters: type[Parameters], *, says: str, why: str, risk: Literal["low", "medium", "high"]
) -> ActionSpec:
    heap = name == "create_heap_dump"
    return ActionSpec(
        name=name,
        family=family,
        description=says,
        parameters=parameters,
        target_kinds=("Pod",) if heap else (),
        risk=risk,
        timeout_seconds=1800,
        perform=create_heap_dump if heap else _by_job(name, says.rstrip(".").lower()),
        irreversible_reason=why,
        needs=(*NEEDS, rights("Pod", "get"), READ_PODS) if heap else NEEDS,
        needs_with=NEEDS_WITH,
        requires=(template(name),),
        aliases={"cleanup_logs": {"path": "/var/log"}} if name == "cleanup_storage" else {},
        parameter_aliases={"dump_path": "output_path", "replica_name": "target_replica"},
        done_when="the Job is complete",
    )


SPECS = (
    _spec(
        "cleanup_storage",
        "storage",
        CleanupStorage,
        says="Delete old files by a Job of yours.",
        why="deleted files do not come back",
        risk="high",
    ),
    _spec(
        "compact_storage",
        "storage",
        CompactStorage,
        says="Compact a store by a Job of yours.",
        why="a store that was compacted stays so",
        risk="medium",
    ),
    _spec(
        "failover_database",
        "database",
        FailoverDatabase,
        says="Make another replica the primary by a Job of yours.",
        why="the way back is another failover, which a person decides",
        risk="high",
    ),
    _spec(
        "repair_database",
        "database",
        RepairDatabase,
        says="Check or repair a database by a Job of yours.",
        why="a repair is taken back from a backup only, which a person decides",
        risk="high",
    ),
    _spec(
        "create_heap_dump",
        "debugging",
        CreateHeapDump,
        says="Dump the heap of a pod by a Job of yours.",
        why="a dump harms nobody and stays for whoever looks at it",
        risk="medium",
    ),
)
