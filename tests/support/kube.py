"""A plain client of a Kubernetes API, as an administrator with curl would use it: raw JSON, one request per call."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

Object = dict[str, Any]

_PREFIXES = {
    "Deployment": ("apis/apps/v1", "deployments"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "Pod": ("api/v1", "pods"),
    "Node": ("api/v1", "nodes"),
    "Namespace": ("api/v1", "namespaces"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "Service": ("api/v1", "services"),
    "Secret": ("api/v1", "secrets"),
    "PersistentVolume": ("api/v1", "persistentvolumes"),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "StorageClass": ("apis/storage.k8s.io/v1", "storageclasses"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Job": ("apis/batch/v1", "jobs"),
    "VolumeSnapshot": ("apis/snapshot.storage.k8s.io/v1", "volumesnapshots"),
    "VolumeSnapshotClass": ("apis/snapshot.storage.k8s.io/v1", "volumesnapshotclasses"),
    "PodMetrics": ("apis/metrics.k8s.io/v1beta1", "pods"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One object's address; `namespace` is empty for what lives in none."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Server:
    """Where an API server is and how to be somebody there."""

    url: str
    ca: Path | None = None
    token: str = ""

    def kubeconfig(self) -> Object:
        """The file that any client reads."""
        cluster = {"server": self.url} | ({"certificate-authority": str(self.ca)} if self.ca else {})
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "me", "user": {"token": self.token} if self.token else {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }

    def client(self) -> httpx2.Client:
        """An HTTP client that trusts the server and names us."""
        verify = ssl.create_default_context(cafile=str(self.ca)) if self.ca else True
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx2.Client(base_url=self.url, verify=verify, headers=headers, timeout=30)


@dataclass
class Kube:
    """Requests to one server. `older` says for an API version which one an old server has in its stead."""

    server: Server
    older: dict[str, str] = field(default_factory=dict)
    http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = self.server.client()

    def call(
        self, method: str, path: str, body: Any = None, *, patch: str = "", **query: str
    ) -> tuple[int, dict[str, Any]]:
        """One request; `patch` is the short name of a patch type. The status and the decoded answer, if it is JSON."""
        headers = {"Content-Type": f"application/{patch}-patch+json" if patch else "application/json"}
        given: dict[str, Any] = {} if body is None else {"json": body}
        answer = self.http.request(method, path, params=query, headers=headers, **given)
        # Where nothing is served a real server says so in plain text.
        readable = answer.headers.get("Content-Type", "").startswith("application/json") and answer.content
        return answer.status_code, answer.json() if readable else {}

    def done(self, method: str, path: str, body: Any = None, *, patch: str = "", **query: str) -> Object:
        """One request that must succeed; its answer."""
        code, answer = self.call(method, path, body, patch=patch, **query)
        assert code < 300, f"{method} {path}: {code} {answer}"
        return answer

    def api_version(self, preferred: str) -> str:
        """The version of an API that this server has."""
        return self.older.get(preferred, preferred)

    def collection(self, kind: str, namespace: str = "") -> str:
        """The path of all objects of a kind."""
        prefix, plural = _PREFIXES[kind]
        if prefix.startswith("apis/"):
            prefix = f"apis/{self.api_version(prefix.removeprefix('apis/'))}"
        return f"/{prefix}/namespaces/{namespace}/{plural}" if namespace else f"/{prefix}/{plural}"

    def path(self, thing: Thing) -> str:
        """The path of one object."""
        return f"{self.collection(thing.kind, thing.namespace)}/{thing.name}"

    def find(self, thing: Thing) -> Object | None:
        """The object, or None."""
        code, answer = self.call("GET", self.path(thing))
        return answer if code == 200 else None

    def get(self, thing: Thing) -> Object:
        """The object, which must exist."""
        return self.done("GET", self.path(thing))

    def objects(self, kind: str, namespace: str = "", **query: str) -> list[Object]:
        """All objects of a kind."""
        return list(self.done("GET", self.collection(kind, namespace), **query)["items"])

    def create(self, body: Object) -> Object:
        """Create an object where its own metadata says."""
        namespace = str(body["metadata"].get("namespace", ""))
        return self.done("POST", self.collection(str(body["kind"]), namespace), body)

    def change(self, thing: Thing, operations: list[Object]) -> Object:
        """Change an object by a JSON Patch."""
        return self.done("PATCH", self.path(thing), operations, patch="json")

    def remove(self, thing: Thing, **options: Any) -> None:
        """Delete an object that may be gone already."""
        code, answer = self.call("DELETE", self.path(thing), {"kind": "DeleteOptions", "apiVersion": "v1"} | options)
        assert code < 300 or code == 404, answer

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
