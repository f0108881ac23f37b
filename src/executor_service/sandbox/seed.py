"""The cluster that a sandbox starts with: nodes, namespaces and workloads, as data.

`WORKLOADS` are created in order and settle as in a real cluster; one with a `second_image` is then rolled out with it.
Everything is healthy except the scripted faults: checkout's revision 2 (only a rollback heals it) and one of the two
pods of payments (a restart of that pod or of the deployment heals it).
"""

from dataclasses import dataclass, field

from executor_service.sandbox.controllers.crashes import FAULT, HEALS_ON
from executor_service.sandbox.objects import Object

NODES = ("node-1", "node-2", "node-3")
NODE_CAPACITY = {"cpu": "16", "memory": "64Gi", "pods": "250"}
NODE_INFO = {
    "architecture": "amd64",
    "containerRuntimeVersion": "sandbox://1",
    "kernelVersion": "6.1",
    "kubeProxyVersion": "",
    "kubeletVersion": "v1.33.0",
    "operatingSystem": "linux",
    "osImage": "sandbox",
}
NAMESPACES = ("default", "production", "staging", "kube-system")


@dataclass(frozen=True, slots=True)
class Seed:
    """One workload. `grown_to` scales it up once it has settled; `pod_name` renames one of its pods."""

    plural: str
    namespace: str
    name: str
    image: str
    replicas: int = 1
    resources: Object = field(default_factory=lambda: resources("100m", "128Mi", "500m", "512Mi"))
    annotations: dict[str, str] = field(default_factory=dict)
    spec: Object = field(default_factory=dict)
    second_image: str = ""
    second_annotations: dict[str, str] = field(default_factory=dict)
    grown_to: int = 0
    pod_name: str = ""


def resources(cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> Object:
    """A container's requests and limits."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}


WORKLOADS = (
    Seed("deployments", "kube-system", "coredns", "registry.k8s.io/coredns/coredns:v1.11.3", 2),
    Seed("deployments", "production", "web-server", "registry.local/web-server:1.4.2", 3, pod_name="web-server-123"),
    Seed("statefulsets", "production", "postgres", "registry.local/postgres:16.4", 3, spec={"serviceName": "postgres"}),
    Seed("daemonsets", "production", "log-agent", "registry.local/log-agent:3.1.0", 0),
    Seed(
        "deployments",
        "staging",
        "api-server",
        "registry.local/api-server:2.0.0",
        2,
        resources("250m", "512Mi", "500m", "1Gi"),
    ),
    Seed(
        "deployments",
        "production",
        "payments",
        "registry.local/payments:5.2.1",
        annotations={FAULT: "crashloop", HEALS_ON: "restart"},
        grown_to=2,
    ),
    Seed(
        "deployments",
        "production",
        "checkout",
        "registry.local/checkout:1.8.0",
        3,
        spec={"strategy": {"type": "Recreate"}},
        second_image="registry.local/checkout:1.9.0-broken",
        second_annotations={FAULT: "crashloop", HEALS_ON: "rollback"},
    ),
)
