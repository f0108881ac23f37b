"""The two places where the same cases run: our sandbox, and a real Kubernetes control plane."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import yaml

from executor_service.actions.catalogue import Catalogue
from executor_service.actions.roles import LOOKING_ROLE, PREFIX
from tests.executor.conftest import environment
from tests.support.control_plane import ControlPlane
from tests.support.furniture import FURNITURE, GROUPS, custom_kind, established
from tests.support.kube import Kube, Object, Server, Thing
from tests.support.kubectl import Kubectl
from tests.support.processes import eventually

MANIFESTS = Path(__file__).parents[2] / "deploy/microservices/executor-deployment.yaml"
_ACCOUNT = {"kind": "ServiceAccount", "name": "executor-service", "namespace": "kubernaut"}
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
    eyes: Kube
    """Through what effects are looked at: kubectl, where there is one."""
    executor: Server
    """The API server as executor-service is to see it: with its own rights, where there are any."""
    patience: float
    """Seconds after which an action that has not ended counts as hanging."""

    def namespace(self) -> str:
        """A fresh namespace that is ready for pods."""

    def forbid(self, right: Right) -> None:
        """Take one right away from the executor; in force on return."""

    def restore(self, *families: str) -> None:
        """The roles of these families (of all, if none is named); what a case left behind is gone or on its way."""


class Sandbox:
    """`executor-service sandbox`, in a process of its own. It has no RBAC: a missing right is a scripted refusal."""

    name = "sandbox"
    patience = 20.0

    def __init__(self, url: str) -> None:
        self.executor = Server(url)
        self.kube = self.eyes = Kube(self.executor)

    def namespace(self) -> str:
        """A fresh namespace."""
        return str(_new_namespace(self.kube)["metadata"]["name"])

    def forbid(self, right: Right) -> None:
        """Every such request is answered 403."""
        resource, _, subresource = right.resource.partition("/")
        match = {"verb": right.verb, "group": right.group, "resource": resource, "subresource": subresource}
        match["user_agent"] = "executor-service"
        self.kube.done("POST", "/sandbox/faults", {"match": match, "status": 403, "times": _ALWAYS})

    def restore(self, *_families: str) -> None:
        """Begin again from the seed, with what a plain cluster lacks; there are no roles."""
        self.kube.done("POST", "/sandbox/reset")
        for group in GROUPS:
            self.kube.done("POST", "/sandbox/groups", {"group": group, "served": True})
        for body in FURNITURE:
            self.kube.create(body)


class Kubernetes:
    """A real control plane. The executor is the service account of our manifests, with the roles that it prints."""

    name = "kubernetes"
    patience = 90.0

    def __init__(self, plane: ControlPlane) -> None:
        server, older = plane.server, {"policy/v1": "policy/v1beta1", "autoscaling/v2": "autoscaling/v2beta2"}
        self.kube = Kube(server, older=older)
        self.eyes: Kube = Kubectl(plane.kubectl, plane.kubeconfig, server, older=older)
        self._namespaces: list[str] = []
        for body in (*_identity(), *_printed_roles()):
            self.kube.create(body)
        self._rules = {role: self.kube.get(_role(role))["rules"] for role in granted_rights()}
        self._bound, self._intact = set(self._rules), True
        self._furnish()
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
        """The roles without this verb on this resource."""
        self._intact = False
        for role, rules in self._rules.items():
            left = [part for rule in rules for part in _without(rule, right)]
            if left != rules:
                self._set_rules(role, left)
        eventually(lambda: not self.allowed(right), f"the executor may not {right} any more")

    def restore(self, *families: str) -> None:
        """The roles as they were printed, bound as asked; open nodes, no namespaces of earlier cases."""
        self._restore_roles({LOOKING_ROLE, *families} & {*self._rules} if families else {*self._rules})
        for node in self.kube.objects("Node"):
            if node["spec"].get("unschedulable") or node["spec"].get("taints"):
                path = self.kube.path(Thing("Node", "", node["metadata"]["name"]))
                self.kube.done("PATCH", path, {"spec": {"unschedulable": None, "taints": None}}, patch="merge")
        self._empty("kube-system")
        for name in self._namespaces:
            self.kube.remove(Thing("Namespace", "", name))
        self._namespaces.clear()
        eventually(lambda: not any(one["spec"].get("taints") for one in self.kube.objects("Node")), "nodes are open")

    def _restore_roles(self, wanted: set[str]) -> None:
        if self._intact and wanted == self._bound:
            return
        for role, rules in self._rules.items():
            self._set_rules(role, rules)
            if (role in wanted) != (role in self._bound):
                subjects = [_ACCOUNT] if role in wanted else []
                change = [{"op": "add", "path": "/subjects", "value": subjects}]
                self.kube.change(Thing("ClusterRoleBinding", "", f"{PREFIX}{role}"), change)
        self._bound, self._intact = wanted, True
        rights = granted_rights()
        given = {right for role in wanted for right in rights[role]}
        taken = {right for each in rights.values() for right in each} - given
        eventually(lambda: all(self.allowed(right) for right in given), "the executor has its rights")
        eventually(lambda: not any(self.allowed(right) for right in taken), "the executor has no others")

    def _empty(self, namespace: str) -> None:
        """No workloads where a bare control plane has none."""
        kinds = ("Deployment", "DaemonSet", "StatefulSet")
        found = [
            Thing(kind, namespace, one["metadata"]["name"])
            for kind in kinds
            for one in self.kube.objects(kind, namespace)
        ]
        for thing in found:
            self.kube.remove(thing, propagationPolicy="Background")
        if found:
            eventually(lambda: not self.kube.objects("Pod", namespace), f"{namespace} is empty", within=self.patience)

    def _furnish(self) -> None:
        """Serve what a plain cluster lacks."""
        for group, kinds in GROUPS.items():
            for kind in kinds:
                body = self.kube.create(custom_kind(group, *kind))
                made = Thing("CustomResourceDefinition", "", body["metadata"]["name"])
                # mypy infers no lambda that has a default.
                eventually(lambda made=made: established(self.kube.get(made)), f"{made.name} is served")  # type: ignore[misc]
        for body in FURNITURE:
            path = self.kube.collection(str(body["kind"]))
            # mypy infers no lambda that has a default.
            eventually(lambda path=path: self.kube.call("GET", path)[0] == 200, f"{path} is served")  # type: ignore[misc]
            self.kube.create(body)

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
        self.eyes.close()
        self.kube.close()

    def _token(self) -> str:
        account = self.kube.path(Thing("ServiceAccount", "kubernaut", "executor-service"))
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        return str(self.kube.done("POST", f"{account}/token", request)["status"]["token"])

    def _set_rules(self, role: str, rules: list[Object]) -> None:
        self.kube.change(_role(role), [{"op": "replace", "path": "/rules", "value": rules}])


def _new_namespace(kube: Kube) -> Object:
    name = f"proof-{secrets.token_hex(3)}"
    return kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def _identity() -> list[Object]:
    """Who the executor is, as our manifests say."""
    documents = yaml.safe_load_all(MANIFESTS.read_text("utf-8"))
    return [document for document in documents if document["kind"] in {"Namespace", "ServiceAccount"}]


@cache
def _printed_roles() -> tuple[Object, ...]:
    """What `executor-service rbac` prints when every setting is set that an action may ask for."""
    specs = Catalogue().specs
    settings = sorted({item.setting for spec in specs for item in spec.requires if item.setting})
    given = [word for setting in settings for word in ("--setting", setting)]
    command = [sys.executable, "-m", "executor_service", "rbac", *given]
    printed = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
    return tuple(yaml.safe_load_all(printed))


@cache
def granted_rights() -> dict[str, frozenset[Right]]:
    """Everything that the printed roles allow, by role."""
    roles = [document for document in _printed_roles() if document["kind"] == "ClusterRole"]
    return {
        role["metadata"]["name"].removeprefix(PREFIX): frozenset(
            Right(verb, resource, group)
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        )
        for role in roles
    }


def _role(role: str) -> Thing:
    return Thing("ClusterRole", "", f"{PREFIX}{role}")


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
        place = Kubernetes(plane)
        yield place
        place.close()
    finally:
        plane.stop()
