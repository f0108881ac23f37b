"""Family storage: more room for a claim."""

from typing import Annotated

from pydantic import Field

from executor_service.actions.requirements import growing_storage, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.quantities import parse_quantity
from executor_service.kubernetes.writing import plan_patch

_RESIZING = ("Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError")


class ExpandPvc(Namespaced):
    """Parameters of expand_pvc."""

    size: Annotated[
        str, Field(pattern=r"^[1-9]\d*(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$", max_length=32, description="Wanted size, as 20Gi")
    ]
    wait_for_expansion: bool = Field(default=True, description="Wait until the claim has the size")


async def expand_pvc(run: Run, parameters: ExpandPvc) -> Done:
    """Ask for more storage and wait until it is there. A claim never shrinks."""
    ref = ObjectRef("PersistentVolumeClaim", parameters.namespace, parameters.resource_name)

    async def plan() -> Planned:
        current = await run.read(ref)
        await _refuse_fixed(run, ref, current)
        _refuse_no_growth(ref, current, parameters.size)
        write = plan_patch(ref, current, {"/spec/resources/requests/storage": parameters.size})
        return (write, current) if write else None

    write = await run.change("size", ref, plan)
    if parameters.wait_for_expansion:
        await _wait_until_grown(run, ref, parameters.size)
    capacity = _capacity(await run.read(ref))
    if write is None:
        return Done(f"{ref} asks for {parameters.size} already", {"already": True, "capacity": capacity})
    return Done(f"{ref} {'would grow' if run.dry_run else 'grew'} to {parameters.size}", {"capacity": capacity})


async def _refuse_fixed(run: Run, ref: ObjectRef, claim: dict[str, Json]) -> None:
    """Before anything is asked for: bound, and of a storage class that allows it."""
    phase = (claim.get("status") or {}).get("phase")
    if phase != "Bound":
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} is {phase or 'new'}, not Bound: it cannot grow")
    name = claim["spec"].get("storageClassName")
    storage_class = await run.find(ObjectRef("StorageClass", None, name)) if name else None
    if storage_class is None or not storage_class.get("allowVolumeExpansion"):
        text = f"{ref} cannot grow: storage class {name or '(none)'} does not have allowVolumeExpansion"
        raise ActionFailedError(ErrorClass.PERMANENT, text)


def _refuse_no_growth(ref: ObjectRef, claim: dict[str, Json], size: str) -> None:
    asked = claim["spec"]["resources"]["requests"]["storage"]
    if parse_quantity(size) < parse_quantity(asked):
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref}: size {size} is less than {asked}; claims never shrink")


async def _wait_until_grown(run: Run, ref: ObjectRef, size: str) -> None:
    async def missing() -> str | None:
        claim = await run.read(ref)
        capacity = _capacity(claim)
        if capacity is not None and parse_quantity(capacity) >= parse_quantity(size):
            return None
        conditions = (claim.get("status") or {}).get("conditions") or []
        doing = [entry["type"] for entry in conditions if entry["type"] in _RESIZING and entry["status"] == "True"]
        return f"{ref} has {capacity} of {size}{': ' + ', '.join(doing) if doing else ''}"

    await run.until(missing)


def _capacity(claim: dict[str, Json]) -> str | None:
    found = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
    return None if found is None else str(found)


SPECS = (
    ActionSpec(
        name="expand_pvc",
        family="storage",
        description="Give a PersistentVolumeClaim more room.",
        parameters=ExpandPvc,
        target_kinds=("PersistentVolumeClaim",),
        risk="medium",
        timeout_seconds=300,
        perform=expand_pvc,
        irreversible_reason="Kubernetes never makes a claim smaller",
        needs=(rights("PersistentVolumeClaim", "get", "patch"), rights("StorageClass", "get", "list")),
        requires=(growing_storage(),),
        aliases={"resize_persistent_volume": {}},
        parameter_aliases={"new_size": "size"},
        done_when="the claim's capacity is the wanted size (wait_for_expansion)",
    ),
)
