"""A stand-in for the sidecars of a storage driver: claims that grow get their room, snapshots become ready.

Nothing is stored anywhere. A claim is bound by the cluster's own controller to a volume that the test has made.
"""

import threading

import httpx2

from tests.support.kube import Kube, Object, Server, Thing

_LOOK_SECONDS = 0.2


class HollowStorage:
    """Plays resizer and snapshotter until it is stopped."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def start(self) -> None:
        """Play in the background."""
        self._thread.start()

    @property
    def playing(self) -> bool:
        """Whether it was started."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop playing; returns when nothing runs any more."""
        self._over.set()
        self._thread.join()

    def _play(self) -> None:
        kube = Kube(self._server)
        while not self._over.wait(_LOOK_SECONDS):
            try:
                self._look(kube)
            except httpx2.HTTPError:
                continue
        kube.close()

    def _look(self, kube: Kube) -> None:
        for claim in _all(kube, "PersistentVolumeClaim"):
            status, wanted = claim.get("status") or {}, claim["spec"]["resources"]["requests"]["storage"]
            if status.get("phase") == "Bound" and (status.get("capacity") or {}).get("storage") != wanted:
                _say(kube, claim, "/status", {"status": {"capacity": {"storage": wanted}}})
        for snapshot in _all(kube, "VolumeSnapshot"):
            if not (snapshot.get("status") or {}).get("readyToUse"):
                _say(kube, snapshot, "", {"status": {"readyToUse": True}})


def _all(kube: Kube, kind: str) -> list[Object]:
    """All objects of a kind; none where it is not served."""
    code, answer = kube.call("GET", kube.collection(kind))
    return [each | {"kind": kind} for each in answer["items"]] if code == 200 else []


def _say(kube: Kube, item: Object, subresource: str, body: Object) -> None:
    metadata = item["metadata"]
    path = kube.path(Thing(str(item["kind"]), metadata["namespace"], metadata["name"]))
    kube.call("PATCH", f"{path}{subresource}", body, patch="merge")
