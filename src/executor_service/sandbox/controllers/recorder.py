"""Events: what the controllers tell a person who looks, aggregated by object and reason."""

import uuid

from executor_service.sandbox.objects import Object, meta, name_of, namespace_of, uid_of
from executor_service.sandbox.store import Store

_KEPT = 500


class Recorder:
    """Writes Events; a repeated one raises `count`, and the oldest go when there are too many."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[tuple[str, str, str], str] = {}

    def record(self, about: Object, reason: str, message: str, *, component: str, warning: bool = False) -> None:
        """Tell that something happened to `about`."""
        key = (uid_of(about), reason, message)
        namespace = namespace_of(about) or "default"
        known = self._store.get("events", namespace, self._names.get(key, ""))
        now = self._store.now()
        if known is not None:
            self._store.put("events", {**known, "count": known["count"] + 1, "lastTimestamp": now})
            return
        name = f"{name_of(about)}.{uuid.uuid4().hex[:16]}"
        self._names[key] = name
        self._store.put("events", _event(about, (namespace, name), (reason, message, component), now, warning=warning))
        self._trim()

    def clear(self) -> None:
        """Forget which events were written."""
        self._names.clear()

    def _trim(self) -> None:
        while len(self._names) > _KEPT:
            key = next(iter(self._names))
            name = self._names.pop(key)
            for namespace in {namespace_of(event) for event in self._store.objects("events") if name_of(event) == name}:
                self._store.remove("events", namespace, name)


def _event(about: Object, key: tuple[str, str], words: tuple[str, str, str], now: str, *, warning: bool) -> Object:
    reason, message, component = words
    involved = {
        "kind": about["kind"],
        "apiVersion": about["apiVersion"],
        "name": name_of(about),
        "uid": uid_of(about),
        "resourceVersion": meta(about).get("resourceVersion", ""),
    }
    if namespace_of(about):
        involved["namespace"] = namespace_of(about)
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"namespace": key[0], "name": key[1]},
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
