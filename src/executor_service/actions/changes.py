"""Writes as the wire's `changes` list."""

from executor_service.contract import FieldChange, Json, Write

HIDDEN = "(hidden)"


def change_list(writes: list[Write], cluster: str) -> list[dict[str, Json]]:
    """One entry per changed field, in the order of the writes; values of container environments are not shown."""
    return [_entry(write, change, cluster) for write in writes for change in [*write.fields, *_sealed(write)]]


def _sealed(write: Write) -> list[FieldChange]:
    """Secret values by their pointers alone."""
    return [FieldChange(pointer, HIDDEN, HIDDEN) for pointer in write.sealed]


def _entry(write: Write, change: FieldChange, cluster: str) -> dict[str, Json]:
    hidden = "/env/" in change.pointer or change.pointer.endswith("/env")
    before, after = (HIDDEN if hidden and value is not None else value for value in (change.before, change.after))
    ref = write.ref
    return {
        "cluster": cluster,
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "field": change.pointer,
        "before": before,
        "after": after,
    }
