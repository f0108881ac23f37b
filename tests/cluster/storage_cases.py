"""Cases of the families storage, backup and database, and whatever runs a Job of deploy/examples/job-templates."""

import re
from collections.abc import Callable
from typing import Any

from tests.cluster.case import Case
from tests.cluster.objects import workload
from tests.cluster.rights import apps, core, named, noted, of
from tests.cluster.scenes import capacity, claim, one_pod
from tests.cluster.stage import Stage
from tests.support.kube import Object

_PLACE = re.compile(r"\$\{[a-z_]+\}")
_JOBS = of("batch", "jobs", "create")
_SNAPSHOTS = of("snapshot.storage.k8s.io", "volumesnapshots", "get", "create")


def _claims(*names: str) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        for name in names:
            claim(stage, name)

    return arrange


def _kept_database(stage: Stage) -> None:
    claim(stage, "data-db-0")
    body = workload("StatefulSet", stage.namespace, "db", replicas=1)
    spec: Object = {"accessModes": ["ReadWriteOnce"], "storageClassName": "growing"}
    spec |= {"resources": {"requests": {"storage": "10Gi"}}}
    body["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": spec}]
    stage.create(body)


def _dumpable(stage: Stage) -> None:
    one_pod(stage)
    if stage.place.name == "kubernetes":
        metadata = {"name": "heap-dumper", "namespace": stage.namespace}
        stage.kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})


def _one_snapshot(stage: Stage, source: str) -> bool:
    (found,) = stage.kube.objects("VolumeSnapshot", stage.namespace)
    spec: Object = found["spec"]
    return bool(spec["source"]["persistentVolumeClaimName"] == source and found["status"]["readyToUse"])


def _job_done(stage: Stage) -> bool:
    """One Job, complete, with no place left in it, and its last words in the answer."""
    (found,) = stage.kube.objects("Job", stage.namespace)
    done = [each["type"] for each in found["status"]["conditions"] if each["status"] == "True"]
    said = stage.notes["result"]["result"]["said"]
    return done == ["Complete"] and "is done" in said[0] and not _PLACE.search(str(found["spec"]))


def _by_job(action: str, arrange: Callable[[Stage], None], target: tuple[str, ...], **parameters: Any) -> Case:
    return Case(
        name=f"{action} by the Job of deploy/examples",
        type=action,
        target=target,
        arrange=arrange,
        parameters=lambda stage: {"namespace": stage.namespace} | parameters,
        effect=_job_done,
        rights=_JOBS,
    )


CASES = (
    Case(
        name="more room for a claim",
        type="expand_pvc",
        target=("PersistentVolumeClaim", "data"),
        arrange=_claims("data"),
        parameters=named("data", size="20Gi"),
        effect=lambda stage: capacity(stage, "data") == "20Gi",
        rights=(*core("persistentvolumeclaims", "get", "patch"), *of("storage.k8s.io", "storageclasses", "get")),
    ),
    Case(
        name="a snapshot of a claim",
        type="backup_data",
        target=("PersistentVolumeClaim", "data"),
        arrange=_claims("data"),
        parameters=named("data"),
        effect=lambda stage: _one_snapshot(stage, "data"),
        rights=(*core("persistentvolumeclaims", "get"), *_SNAPSHOTS),
    ),
    Case(
        name="snapshots of a StatefulSet's claims",
        type="backup_data",
        target=("StatefulSet", "db"),
        arrange=_kept_database,
        parameters=named("db", resource_type="statefulset"),
        effect=lambda stage: _one_snapshot(stage, "data-db-0"),
        rights=(*core("persistentvolumeclaims", "list"), *apps("statefulsets", "get")),
    ),
    _by_job(
        "backup_data",
        _claims("backups"),
        ("PersistentVolumeClaim", "backups"),
        resource_name="db",
        resource_type="database",
        destination="nightly",
    ),
    _by_job("cleanup_storage", _claims("shared-files"), ("PersistentVolumeClaim", "shared-files"), path="/logs"),
    _by_job("compact_storage", _claims("data"), ("PersistentVolumeClaim", "data"), volume_name="data"),
    _by_job("failover_database", _claims("data"), ("PersistentVolumeClaim", "data"), resource_name="db"),
    _by_job(
        "repair_database",
        _claims("backups"),
        ("PersistentVolumeClaim", "backups"),
        resource_name="db",
        repair_type="index",
    ),
    Case(
        name="create_heap_dump by the Job of deploy/examples",
        type="create_heap_dump",
        target=("Pod", "noted:pod"),
        arrange=_dumpable,
        parameters=noted("pod"),
        effect=_job_done,
        rights=(*_JOBS, *core("pods", "get")),
    ),
)
