"""The storage controllers: claims are bound and grow, snapshots become ready."""

from executor_service.sandbox.controllers.control import Control
from executor_service.sandbox.objects import Object, annotations_of, clone, name_of
from executor_service.sandbox.quantities import parse_quantity

STUCK = "sandbox.kubernaut.io/stuck"
"""Annotation on a claim or snapshot: the controller never finishes."""


class Storage:
    """A provisioner, a resizer and a snapshotter that need no time."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._store = control.store

    def claim(self, namespace: str, name: str) -> None:
        """Bind the claim, or let its capacity follow its request."""
        claim = self._store.get("persistentvolumeclaims", namespace, name)
        if claim is None or annotations_of(claim).get(STUCK):
            return
        wanted = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
        if wanted is None:
            return
        if not claim["spec"].get("volumeName"):
            bound = clone(claim)
            bound["spec"]["volumeName"] = f"pvc-{claim['metadata']['uid']}"
            claim = self._store.put("persistentvolumeclaims", bound)
        have = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
        if have is None or parse_quantity(have) < parse_quantity(wanted):
            modes = claim["spec"].get("accessModes") or []
            status: Object = {"phase": "Bound", "accessModes": modes, "capacity": {"storage": wanted}}
            self._control.set_status("persistentvolumeclaims", claim, status)

    def snapshot(self, namespace: str, name: str) -> None:
        """Take the snapshot of a claim that exists."""
        snapshot = self._store.get("volumesnapshots", namespace, name)
        if snapshot is None or annotations_of(snapshot).get(STUCK):
            return
        source = (snapshot["spec"].get("source") or {}).get("persistentVolumeClaimName", "")
        claim = self._store.get("persistentvolumeclaims", namespace, source)
        if claim is None:
            error = {"message": f'snapshot controller failed to get the claim "{source}"'}
            self._control.set_status("volumesnapshots", snapshot, {"readyToUse": False, "error": error})
            return
        status = {
            "boundVolumeSnapshotContentName": f"snapcontent-{name_of(snapshot)}",
            "creationTime": self._store.now(),
            "readyToUse": True,
            "restoreSize": ((claim.get("status") or {}).get("capacity") or {}).get("storage", "0"),
        }
        if not (snapshot.get("status") or {}).get("readyToUse"):
            self._control.set_status("volumesnapshots", snapshot, status)
