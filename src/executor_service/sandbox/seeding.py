"""From the seed's data to a cluster that has settled: objects are created by the API's own rules, then time passes."""

from executor_service.sandbox.controllers.work import WorkQueue
from executor_service.sandbox.kinds import by_plural
from executor_service.sandbox.objects import Object, clone, labels_of, meta, name_of
from executor_service.sandbox.seed import NAMESPACES, NODE_CAPACITY, NODE_INFO, NODES, WORKLOADS, Seed
from executor_service.sandbox.store import Store
from executor_service.sandbox.writes import Change, change, create

SETTLING_SECONDS = 700.0
"""Virtual seconds that all workloads settle in; more than a rollout's progress deadline."""
_STEP_SECONDS = 10.0


def plant(store: Store, work: WorkQueue) -> None:
    """Fill an empty store and let the controllers settle it, in virtual time."""
    for name in NAMESPACES:
        create(store, by_plural("namespaces"), {"metadata": {"name": name}})
    for name in NODES:
        create(store, by_plural("nodes"), _node(name, store.now()))
    for seed in WORKLOADS:
        _grow(store, work, seed)
    work.advance(SETTLING_SECONDS)


def _grow(store: Store, work: WorkQueue, seed: Seed) -> None:
    kind = by_plural(seed.plural)
    create(store, kind, _workload(seed), namespace=seed.namespace)
    work.advance(_STEP_SECONDS)
    key = (seed.namespace, seed.name)
    if seed.grown_to:
        change(store, kind, key, Change(lambda old: _resized(old, seed.grown_to)))
    if seed.second_image:
        change(store, kind, key, Change(lambda old: _second(old, seed)))
    if seed.pod_name:
        _rename_pod(store, seed)
    work.advance(_STEP_SECONDS)


def _resized(workload: Object, replicas: int) -> Object:
    workload["spec"]["replicas"] = replicas
    return workload


def _second(workload: Object, seed: Seed) -> Object:
    template = workload["spec"]["template"]
    template["metadata"]["annotations"] = {**seed.annotations, **seed.second_annotations}
    template["spec"]["containers"][0]["image"] = seed.second_image
    return workload


def _rename_pod(store: Store, seed: Seed) -> None:
    """Give the first pod of a workload the name that the seed wants."""
    pod = next(pod for pod in store.objects("pods", seed.namespace) if labels_of(pod).get("app") == seed.name)
    renamed = clone(pod)
    meta(renamed)["name"] = seed.pod_name
    store.remove("pods", seed.namespace, name_of(pod))
    store.put("pods", renamed)
    for event in store.objects("events", seed.namespace):
        if event["involvedObject"]["name"] == name_of(pod):
            store.remove("events", seed.namespace, name_of(event))


def _workload(seed: Seed) -> Object:
    labels = {"app": seed.name}
    template: Object = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": seed.name, "image": seed.image, "resources": seed.resources}]},
    }
    if seed.annotations:
        template["metadata"]["annotations"] = seed.annotations
    size = {"replicas": seed.replicas} if seed.plural != "daemonsets" else {}
    spec = {**size, "selector": {"matchLabels": labels}, "template": template, **seed.spec}
    return {"metadata": {"name": seed.name, "namespace": seed.namespace, "labels": labels}, "spec": spec}


def _node(name: str, now: str) -> Object:
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": f"10.244.{name.rpartition('-')[2]}.0/24"},
        "status": {
            "capacity": NODE_CAPACITY,
            "allocatable": NODE_CAPACITY,
            "conditions": [{**ready, "lastHeartbeatTime": now, "lastTransitionTime": now}],
            "addresses": [{"type": "Hostname", "address": name}],
            "nodeInfo": NODE_INFO | {"machineID": name, "systemUUID": name, "bootID": name},
        },
    }
