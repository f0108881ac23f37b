"""What the API server's admission asks of other objects before it takes a change."""

from executor_service.sandbox.errors import forbidden
from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object, name_of
from executor_service.sandbox.quantities import parse_quantity
from executor_service.sandbox.store import Store


def admit_change(store: Store, kind: Kind, old: Object, new: Object) -> None:
    """Raise ApiError 403 when the change is not admitted (PersistentVolumeClaimResize)."""
    if kind.plural != "persistentvolumeclaims" or requested(new) == requested(old):
        return
    name = (old.get("spec") or {}).get("storageClassName")
    storage_class = store.get("storageclasses", "", name) if name else None
    if storage_class is None or not storage_class.get("allowVolumeExpansion"):
        why = (
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
            "support resize"
        )
        raise forbidden(kind, name_of(old), why)


def requested(claim: Object) -> object:
    """The size that a claim asks for, as a number; None when it asks for none."""
    size = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    return None if size is None else parse_quantity(size)
