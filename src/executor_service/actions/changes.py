"""Writes as the wire's `changes` list, and as the audit's."""

from executor_service.contract import FieldChange, Json, Write
from executor_service.guards.asked import Asked
from executor_service.ledger.audit import AuditEntry

HIDDEN = "(hidden)"


def change_list(writes: list[Write], cluster: str) -> list[dict[str, Json]]:
    """One entry per changed field, in the order of the writes; values of container environments are not shown."""
    return [_entry(write, change, cluster) for write in writes for change in [*write.fields, *_sealed(write)]]


def _sealed(write: Write) -> list[FieldChange]:
    """Secret values by their pointers alone."""
    return [FieldChange(pointer, HIDDEN, HIDDEN) for pointer in write.sealed]


def audit_entry(asked: Asked, slot: str, write: Write, *, place: str | None, cluster: str) -> AuditEntry:
    """The line that a write gets in the audit."""
    return AuditEntry(
        caller=asked.caller,
        workflow_id=asked.workflow_id,
        execution_id=asked.execution_id,
        step_id=asked.step_id,
        key=asked.key,
        slot=slot,
        action=asked.type,
        target=str(asked.subject),
        place=place,
        verb=write.verb.value,
        kind=write.ref.kind,
        namespace=write.ref.namespace,
        name=write.ref.name,
        changes=change_list([write], cluster),
    )


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
