"""Single requests and the answers that any Kubernetes API server must give, the sandbox too."""

from dataclasses import dataclass, field
from typing import Any

_DEPLOYMENTS = "/apis/apps/v1/namespaces/{ns}/deployments"
_WEB = f"{_DEPLOYMENTS}/web"
_SET = "/apis/apps/v1/namespaces/{ns}/statefulsets/db"
_PODS = "/api/v1/namespaces/{ns}/pods"
_POD = f"{_PODS}/db-0"
_OTHER_UID = "00000000-1111-2222-3333-444444444444"
_CONTAINER = "/spec/template/spec/containers/0"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request (`{ns}` stands for the namespace) and its answer: status, reason, and fields by JSON pointer."""

    name: str
    method: str
    path: str
    code: int
    reason: str = ""
    body: Any = None
    patch: str = ""
    query: dict[str, str] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)


def _patch(*operations: tuple[Any, ...]) -> list[dict[str, Any]]:
    """A JSON Patch from (op, path, value) or (op, path)."""
    return [dict(zip(("op", "path", "value"), each, strict=False)) for each in operations]


_DRY = {"dryRun": "All"}

_CONTAINER_BEFORE = {"name": "main", "image": "i:1"}
_CONTAINER_AFTER = _CONTAINER_BEFORE | {
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
}
_POD_AFTER = {
    "containers": [_CONTAINER_AFTER],
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
_SPELLED = {"1000m": "1", "1.5": "1500m", "0.0001": "1m", "2e3": "2e3", "0": "0", "12000": "12k"}
"""CPU as given, and as the server stores it."""


def _spec(**more: Any) -> dict[str, Any]:
    """A workload's smallest spec."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [_CONTAINER_BEFORE]}}
    return {"selector": {"matchLabels": {"a": "b"}}, "template": template} | more


def _limited(cpu: str) -> dict[str, Any]:
    return {"name": f"c-{cpu.replace('.', '-')}", "image": "i:1", "resources": {"limits": {"cpu": cpu}}}


EXCHANGES = (
    Exchange("an object that is not there", "GET", f"{_DEPLOYMENTS}/none", 404, "NotFound"),
    Exchange("a namespace that is not there", "GET", "/api/v1/namespaces/none", 404, "NotFound"),
    Exchange("a list in a namespace that is not there", "GET", "/api/v1/namespaces/none/pods", 200),
    Exchange(
        "a name that is taken",
        "POST",
        _DEPLOYMENTS,
        409,
        "AlreadyExists",
        {"metadata": {"name": "web"}, "spec": _spec()},
    ),
    Exchange(
        "the defaults of a Deployment",
        "POST",
        _DEPLOYMENTS,
        201,
        body={"metadata": {"name": "x"}, "spec": _spec()},
        query=_DRY,
        answer={
            "/spec/replicas": 1,
            "/spec/strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
            "/spec/revisionHistoryLimit": 10,
            "/spec/progressDeadlineSeconds": 600,
            "/spec/template/spec": _POD_AFTER,
            "/metadata/generation": 1,
            "/status": {},
        },
    ),
    Exchange(
        "the defaults of a StatefulSet",
        "POST",
        "/apis/apps/v1/namespaces/{ns}/statefulsets",
        201,
        body={"metadata": {"name": "x"}, "spec": _spec(serviceName="x")},
        query=_DRY,
        answer={
            "/spec/replicas": 1,
            "/spec/podManagementPolicy": "OrderedReady",
            "/spec/updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "/spec/revisionHistoryLimit": 10,
            "/spec/template/spec": _POD_AFTER,
        },
    ),
    Exchange(
        "the defaults of a DaemonSet",
        "POST",
        "/apis/apps/v1/namespaces/{ns}/daemonsets",
        201,
        body={"metadata": {"name": "x"}, "spec": _spec()},
        query=_DRY,
        answer={
            "/spec/updateStrategy/type": "RollingUpdate",
            "/spec/updateStrategy/rollingUpdate/maxUnavailable": 1,
            "/spec/revisionHistoryLimit": 10,
            "/spec/template/spec": _POD_AFTER,
        },
    ),
    Exchange(
        "the spelling of a CPU limit",
        "POST",
        _DEPLOYMENTS,
        201,
        body={
            "metadata": {"name": "x"},
            "spec": _spec(
                template={
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [_limited(given) for given in _SPELLED]},
                }
            ),
        },
        query=_DRY,
        answer={
            f"/spec/template/spec/containers/{index}/resources": {"limits": {"cpu": stored}}
            for index, stored in enumerate(_SPELLED.values())
        },
    ),
    Exchange(
        "a pod requests what it is limited to",
        "POST",
        _PODS,
        201,
        body={"metadata": {"name": "x"}, "spec": {"containers": [_limited("0.5")]}},
        query=_DRY,
        answer={
            "/spec/containers/0/resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}},
            "/status/phase": "Pending",
        },
    ),
    Exchange(
        "an update of an old version",
        "PUT",
        _WEB,
        409,
        "Conflict",
        {"metadata": {"name": "web", "resourceVersion": "1"}, "spec": _spec(selector={"matchLabels": {"app": "web"}})},
    ),
    Exchange("an update of a whole collection", "PUT", _DEPLOYMENTS, 405, "MethodNotAllowed", {}),
    Exchange(
        "a name that is none", "POST", _DEPLOYMENTS, 422, "Invalid", {"metadata": {"name": "Bad_Name"}, "spec": _spec()}
    ),
    Exchange(
        "a label that is none",
        "PATCH",
        _WEB,
        422,
        "Invalid",
        {"metadata": {"labels": {"a": "not a label"}}},
        "merge",
    ),
    Exchange(
        "a selector that does not select its own pods",
        "POST",
        _DEPLOYMENTS,
        422,
        "Invalid",
        {"metadata": {"name": "x"}, "spec": _spec(selector={"matchLabels": {"a": "c"}})},
    ),
    Exchange("a spec without what is required", "POST", _DEPLOYMENTS, 422, "Invalid", {"metadata": {"name": "x"}}),
    Exchange(
        "a JSON Patch whose test holds",
        "PATCH",
        _WEB,
        200,
        body=_patch(("test", "/spec/replicas", 1), ("replace", "/spec/replicas", 2)),
        patch="json",
        query=_DRY,
        answer={"/spec/replicas": 2},
    ),
    Exchange(
        "a JSON Patch whose test fails",
        "PATCH",
        _WEB,
        422,
        "Invalid",
        _patch(("test", "/spec/replicas", 9), ("replace", "/spec/replicas", 2)),
        patch="json",
    ),
    Exchange(
        "a JSON Patch that tests another uid",
        "PATCH",
        _WEB,
        422,
        "Invalid",
        _patch(("test", "/metadata/uid", _OTHER_UID), ("replace", "/spec/replicas", 2)),
        patch="json",
    ),
    Exchange(
        "a JSON Patch that removes what is not there",
        "PATCH",
        _WEB,
        422,
        "Invalid",
        _patch(("remove", "/spec/nothing")),
        patch="json",
    ),
    Exchange(
        "a JSON Patch below a parent that is not there",
        "PATCH",
        _SET,
        422,
        "Invalid",
        _patch(("add", f"{_CONTAINER}/resources/limits/cpu", "1")),
        patch="json",
    ),
    Exchange(
        "quantities in the server's spelling",
        "PATCH",
        _WEB,
        200,
        body=_patch(
            ("replace", f"{_CONTAINER}/resources/limits/memory", "2048Mi"),
            ("replace", f"{_CONTAINER}/resources/limits/cpu", "0.75"),
            ("replace", f"{_CONTAINER}/resources/requests/memory", "1.5Gi"),
            ("replace", f"{_CONTAINER}/resources/requests/cpu", "0.1"),
        ),
        patch="json",
        query=_DRY,
        answer={
            f"{_CONTAINER}/resources": {
                "limits": {"cpu": "750m", "memory": "2Gi"},
                "requests": {"cpu": "100m", "memory": "1536Mi"},
            }
        },
    ),
    Exchange(
        "empty maps are not stored",
        "PATCH",
        _WEB,
        200,
        body=_patch(("add", "/spec/template/metadata/annotations", {}), ("add", "/metadata/annotations", {})),
        patch="json",
        query=_DRY,
        answer={"/spec/template/metadata/annotations": None, "/metadata/annotations": None},
    ),
    Exchange(
        "a request above its limit",
        "PATCH",
        _WEB,
        422,
        "Invalid",
        _patch(("replace", f"{_CONTAINER}/resources/requests/cpu", "2")),
        patch="json",
    ),
    Exchange(
        "a quantity that is none",
        "PATCH",
        _WEB,
        422,
        "Invalid",
        _patch(("replace", f"{_CONTAINER}/resources/requests/cpu", "much")),
        patch="json",
    ),
    Exchange("a negative number of replicas", "PATCH", _WEB, 422, "Invalid", {"spec": {"replicas": -1}}, "merge"),
    Exchange("a merge patch of a wrong type", "PATCH", _WEB, 422, "Invalid", {"spec": {"replicas": "two"}}, "merge"),
    Exchange(
        "a merge patch of an old version",
        "PATCH",
        _WEB,
        409,
        "Conflict",
        {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2}},
        "merge",
    ),
    Exchange(
        "a merge patch in a dry run",
        "PATCH",
        _WEB,
        200,
        body={"spec": {"replicas": 7}},
        patch="merge",
        query=_DRY,
        answer={"/spec/replicas": 7},
    ),
    Exchange(
        "a strategic patch keeps what it does not name",
        "PATCH",
        _WEB,
        200,
        body={"spec": {"template": {"spec": {"containers": [{"name": "second", "image": "s:1"}]}}}},
        patch="strategic-merge",
        query=_DRY,
        answer={f"{_CONTAINER}/name": "second", "/spec/template/spec/containers/1/name": "main"},
    ),
    Exchange(
        "another selector",
        "PATCH",
        _WEB,
        422,
        "Invalid",
        {"spec": {"selector": {"matchLabels": {"app": "other"}}}},
        "merge",
    ),
    Exchange(
        "another service name of a StatefulSet", "PATCH", _SET, 422, "Invalid", {"spec": {"serviceName": "x"}}, "merge"
    ),
    Exchange("a pod on another node", "PATCH", _POD, 422, "Invalid", {"spec": {"nodeName": "node-9"}}, "merge"),
    Exchange("a patch of an unknown kind of patch", "PATCH", _WEB, 415, "UnsupportedMediaType", {}, "strange"),
    Exchange("the scale of a Deployment", "GET", f"{_WEB}/scale", 200, answer={"/spec/replicas": 1, "/kind": "Scale"}),
    Exchange(
        "a delete of another uid",
        "DELETE",
        _POD,
        409,
        "Conflict",
        {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": _OTHER_UID}},
    ),
    Exchange(
        "a delete in a dry run",
        "DELETE",
        _POD,
        200,
        body={"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]},
    ),
    Exchange("a dry run of another word", "PATCH", _WEB, 422, "Invalid", {}, "merge", {"dryRun": "Some"}),
    Exchange("pods by label", "GET", _PODS, 200, query={"labelSelector": "app in (db),app!=web"}),
    Exchange("pods by a bad label", "GET", _PODS, 400, "BadRequest", query={"labelSelector": "app in ("}),
    Exchange("pods by an unknown field", "GET", _PODS, 400, "BadRequest", query={"fieldSelector": "spec.colour=red"}),
    Exchange(
        "an eviction of another uid",
        "POST",
        f"{_POD}/eviction",
        409,
        "Conflict",
        {
            "apiVersion": "{policy}",
            "kind": "Eviction",
            "metadata": {"name": "db-0", "namespace": "{ns}"},
            "deleteOptions": {"preconditions": {"uid": _OTHER_UID}},
        },
    ),
    Exchange(
        "an eviction of nothing",
        "POST",
        f"{_PODS}/none/eviction",
        404,
        "NotFound",
        {"apiVersion": "{policy}", "kind": "Eviction", "metadata": {"name": "none", "namespace": "{ns}"}},
    ),
)
