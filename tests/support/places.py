"""The two places where the same cases run: our sandbox, and a real Kubernetes control plane."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml

from tests.executor.conftest import environment
from tests.support.control_plane import ControlPlane
from tests.support.kube import Kube, Object, Server, Thing
from tests.support.processes import eventually

MANIFESTS = Path(__file__).parents[2] / "deploy/microservices/executor-deployment.yaml"
_ROLE = "kubernaut-executor-service"
_ALWAYS = 1_000_000


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that RBAC allows: a verb on a resource (`pods/eviction` is the subresource) of an API group."""

    verb: str
    resource: str
    group: str = ""


class Place(Protocol):
    """Where cases run."""

    name: str
    kube: Kube
    executor: Server
    """The API server as executor-service is to see it: with its own rights, where there are any."""
    patience: float
    """Seconds after which an action that has not ended counts as hanging."""

    def namespace(self) -> str:
        """A fresh namespace that is ready for pods."""

    def forbid(self, right: Right) -> None:
        """Take one right away from the executor; in force on return."""

    def restore(self) -> None:
        """All rights again and every node open; what a case left behind is gone or on its way."""


class Sandbox:
    """`executor-service sandbox`, in a process of its own. It has no RBAC: a missing right is a scripted refusal."""

    name = "sandbox"
    patience = 20.0

    def __init__(self, url: str) -> None:
        self.executor = Server(url)
        self.kube = Kube(self.executor)

    def namespace(self) -> str:
        """A fresh namespace."""
        return str(_new_namespace(self.kube)["metadata"]["name"])

    def forbid(self, right: Right) -> None:
        """Every such request is answered 403."""
        resource, _, subresource = right.resource.partition("/")
        match = {"verb": right.verb, "resource": resource, "subresource": subresource}
        match["user_agent"] = "executor-service"
        self.kube.done("POST", "/sandbox/faults", {"match": match, "status": 403, "times": _ALWAYS})

    def restore(self) -> None:
        """Begin again from the seed."""
        self.kube.done("POST", "/sandbox/reset")


class Kubernetes:
    """A real control plane. The executor is the service account of our manifests, with the role of our manifests."""

    name = "kubernetes"
    patience = 90.0

    def __init__(self, server: Server) -> None:
        self.kube = Kube(server, policy="policy/v1beta1")
        self._namespaces: list[str] = []
        for body in _granted():
            self.kube.create(body)
        self._role = self.kube.get(Thing("ClusterRole", "", _ROLE))["rules"]
        self.executor = Server(server.url, server.ca, self._token())
        self._as_executor = self.executor.client()

    def namespace(self) -> str:
        """A fresh namespace whose pods get the token of its default service account."""
        name = str(_new_namespace(self.kube)["metadata"]["name"])
        self._namespaces.append(name)
        account = Thing("ServiceAccount", name, "default")
        eventually(lambda: (self.kube.find(account) or {}).get("secrets"), f"namespace {name} has its service account")
        return name

    def forbid(self, right: Right) -> None:
        """The role without this verb on this resource."""
        self._set_rules([part for rule in self._role for part in _without(rule, right)])
        eventually(lambda: not self.allowed(right), f"the executor may not {right} any more")

    def restore(self) -> None:
        """The whole role, open nodes, no namespaces of earlier cases."""
        if self.kube.get(Thing("ClusterRole", "", _ROLE))["rules"] != self._role:
            self._set_rules(self._role)
        for node in self.kube.objects("Node"):
            if node["spec"].get("unschedulable") or node["spec"].get("taints"):
                path = self.kube.path(Thing("Node", "", node["metadata"]["name"]))
                self.kube.done("PATCH", path, {"spec": {"unschedulable": None, "taints": None}}, patch="merge")
        for name in self._namespaces:
            self.kube.remove(Thing("Namespace", "", name))
        self._namespaces.clear()
        eventually(lambda: all(self.allowed(right) for right in granted_rights()), "the executor has its rights")
        eventually(lambda: not any(one["spec"].get("taints") for one in self.kube.objects("Node")), "nodes are open")

    def allowed(self, right: Right) -> bool:
        """What the API server says about the executor (SelfSubjectAccessReview)."""
        resource, _, subresource = right.resource.partition("/")
        asked = {"verb": right.verb, "resource": resource, "subresource": subresource, "group": right.group}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        answer = self._as_executor.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
        return bool(answer.json()["status"]["allowed"])

    def close(self) -> None:
        """Close the connections."""
        self._as_executor.close()
        self.kube.close()

    def _token(self) -> str:
        account = self.kube.path(Thing("ServiceAccount", "kubernaut", "executor-service"))
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        return str(self.kube.done("POST", f"{account}/token", request)["status"]["token"])

    def _set_rules(self, rules: list[Object]) -> None:
        self.kube.change(Thing("ClusterRole", "", _ROLE), [{"op": "replace", "path": "/rules", "value": rules}])


def _new_namespace(kube: Kube) -> Object:
    name = f"proof-{secrets.token_hex(3)}"
    return kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _granted() -> list[Object]:
    """What our manifests say about the executor's identity and rights, as they are delivered."""
    wanted = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    documents = yaml.safe_load_all(MANIFESTS.read_text("utf-8"))
    return [document for document in documents if document["kind"] in wanted]


def granted_rights() -> set[Right]:
    """Everything that the delivered role allows."""
    role = next(document for document in _granted() if document["kind"] == "ClusterRole")
    return {
        Right(verb, resource, group)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _without(rule: Object, right: Right) -> list[Object]:
    """A rule as rules of one resource each, without one verb on one of them."""
    parts = []
    for resource in rule["resources"]:
        hit = right.group in rule["apiGroups"] and resource == right.resource
        verbs = [verb for verb in rule["verbs"] if not (hit and verb == right.verb)]
        if verbs:
            parts.append(rule | {"resources": [resource], "verbs": verbs})
    return parts


@contextmanager
def sandbox_place(directory: Path) -> Iterator[Sandbox]:
    """A sandbox process for as long as it is needed."""
    command = [sys.executable, "-m", "executor_service", "sandbox", "--port", "0"]
    command += ["--kubeconfig", str(directory / "sandbox.kubeconfig")]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        place = Sandbox(f"http://127.0.0.1:{ready['port']}")
        yield place
        place.kube.close()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@contextmanager
def kubernetes_place(binaries: Path, directory: Path) -> Iterator[Kubernetes]:
    """A control plane for as long as it is needed."""
    plane = ControlPlane(binaries, directory)
    try:
        plane.start()
        place = Kubernetes(plane.server)
        yield place
        place.close()
    finally:
        plane.stop()
