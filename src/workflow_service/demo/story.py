"""The demo's story: three alerts, what becomes of each, and what is different in the cluster afterwards."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from workflow_service.demo.embedded import Embedded, NotStarted, call, running
from workflow_service.demo.show import changes, trees

LOOK = 0.2  # seconds between looks at the workflows
PATIENCE = 150.0  # seconds for the whole story

# What Alertmanager's labels look like after kube-prometheus; the pod label names the exporter, as it does there.
CRASH_LOOPING = {
    "name": "KubePodCrashLooping",
    "severity": "warning",
    "status": "firing",
    "labels": {
        "alertname": "KubePodCrashLooping",
        "container": "checkout",
        "deployment": "checkout",
        "job": "kube-state-metrics",
        "namespace": "production",
        "reason": "CrashLoopBackOff",
        "severity": "warning",
    },
    "annotations": {"summary": "Pod is crash looping."},
    "starts_at": "2026-01-01T03:00:00Z",
}
HIGH_CPU = {
    "name": "HighCPUUsage",
    "severity": "critical",
    "namespace": "production",
    "resource": "pod/web-server-123",
    "labels": {"alertname": "HighCPUUsage", "severity": "critical"},
}
MEMORY_LEAK = {
    "name": "MemoryLeak",
    "severity": "warning",
    "namespace": "staging",
    "resource": "deployment/api-server",
}
ALERTS = (HIGH_CPU, MEMORY_LEAK, CRASH_LOOPING)

# The cluster's API is made to fail twice when api-server is changed: the step's retries are seen.
OUTAGE = {
    "match": {"verb": "patch", "resource": "deployments", "namespace": "staging", "name": "api-server"},
    "status": 503,
    "times": 2,
}
WORKLOADS = ("production/web-server", "staging/api-server", "production/checkout")


def tell() -> int:
    """Run the story; 0 when all three remediations completed."""
    console = Console(highlight=False, width=max(100, Console().width))
    console.print(
        "[bold]workflow-service demo[/]: an in-memory cluster, executor-service and workflow-service, embedded"
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="workflow-service-demo-") as directory:
        try:
            with running(Path(directory)) as embedded:
                console.print(
                    f"all three are up after {time.monotonic() - began:.1f} s; sending {len(ALERTS)} alerts\n"
                )
                return _remediate(console, embedded)
        except NotStarted as error:
            console.print(f"cannot start: {error}", style="red", markup=False)
            return 1


def _remediate(console: Console, embedded: Embedded) -> int:
    before = _cluster(embedded)
    call("POST", f"{embedded.cluster_url}/sandbox/faults", OUTAGE)
    for alert in ALERTS:
        call("POST", f"{embedded.workflow_url}/api/v1/execute", alert, {"Prefer": "respond-async"})
    details: list[Any] = []
    with Live(console=console, refresh_per_second=8) as live:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            details = _details(embedded)
            live.update(trees(details))
            if len(details) == len(ALERTS) and all(one["ended_at"] for one in details):
                break
            time.sleep(LOOK)
    console.print()
    console.print(changes(before, _cluster(embedded), WORKLOADS))
    console.print(
        "Look yourself: [bold]make run[/] keeps everything up, then open "
        "http://127.0.0.1:8083/api/v1/workflows and http://127.0.0.1:8083/openapi.json"
    )
    succeeded = [one for one in details if one["result"]["success"]]
    console.print(f"{len(succeeded)} of {len(ALERTS)} remediations completed")
    return 0 if len(succeeded) == len(ALERTS) else 1


def _details(embedded: Embedded) -> list[Any]:
    _, page = call("GET", f"{embedded.workflow_url}/api/v1/workflows")
    ids = [one["workflow_id"] for one in reversed(page["workflows"])]
    return [call("GET", f"{embedded.workflow_url}/api/v1/workflows/{workflow_id}")[1] for workflow_id in ids]


def _cluster(embedded: Embedded) -> dict[str, Any]:
    """The story's deployments as the cluster has them."""
    found = {}
    for workload in WORKLOADS:
        namespace, name = workload.split("/")
        path = f"{embedded.cluster_url}/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        _, deployment = call("GET", path)
        _, pods = call("GET", f"{embedded.cluster_url}/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}")
        found[workload] = {"deployment": deployment, "pods": pods["items"]}
    return found
