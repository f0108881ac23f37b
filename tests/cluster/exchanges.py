"""Requests other than patches, and the answers that any Kubernetes API server must give, the sandbox too."""

from typing import Any

from tests.cluster.exchange import DEPLOYMENTS, DRY, OTHER_UID, POD, PODS, WEB, Exchange
from tests.cluster.patches import PATCHES

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
    Exchange("an object that is not there", "GET", f"{DEPLOYMENTS}/none", 404, "NotFound"),
    Exchange("a namespace that is not there", "GET", "/api/v1/namespaces/none", 404, "NotFound"),
    Exchange("a list in a namespace that is not there", "GET", "/api/v1/namespaces/none/pods", 200),
    Exchange(
        "a name that is taken",
        "POST",
        DEPLOYMENTS,
        409,
        "AlreadyExists",
        {"metadata": {"name": "web"}, "spec": _spec()},
    ),
    Exchange(
        "the defaults of a Deployment",
        "POST",
        DEPLOYMENTS,
        201,
        body={"metadata": {"name": "x"}, "spec": _spec()},
        query=DRY,
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
        query=DRY,
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
        query=DRY,
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
        DEPLOYMENTS,
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
        query=DRY,
        answer={
            f"/spec/template/spec/containers/{index}/resources": {"limits": {"cpu": stored}}
            for index, stored in enumerate(_SPELLED.values())
        },
    ),
    Exchange(
        "a pod requests what it is limited to",
        "POST",
        PODS,
        201,
        body={"metadata": {"name": "x"}, "spec": {"containers": [_limited("0.5")]}},
        query=DRY,
        answer={
            "/spec/containers/0/resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}},
            "/status/phase": "Pending",
        },
    ),
    Exchange(
        "an update of an old version",
        "PUT",
        WEB,
        409,
        "Conflict",
        {"metadata": {"name": "web", "resourceVersion": "1"}, "spec": _spec(selector={"matchLabels": {"app": "web"}})},
    ),
    Exchange("an update of a whole collection", "PUT", DEPLOYMENTS, 405, "MethodNotAllowed", {}),
    Exchange(
        "a name that is none", "POST", DEPLOYMENTS, 422, "Invalid", {"metadata": {"name": "Bad_Name"}, "spec": _spec()}
    ),
    Exchange(
        "a selector that does not select its own pods",
        "POST",
        DEPLOYMENTS,
        422,
        "Invalid",
        {"metadata": {"name": "x"}, "spec": _spec(selector={"matchLabels": {"a": "c"}})},
    ),
    Exchange("a spec without what is required", "POST", DEPLOYMENTS, 422, "Invalid", {"metadata": {"name": "x"}}),
    Exchange("the scale of a Deployment", "GET", f"{WEB}/scale", 200, answer={"/spec/replicas": 1, "/kind": "Scale"}),
    Exchange(
        "a delete of another uid",
        "DELETE",
        POD,
        409,
        "Conflict",
        {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": OTHER_UID}},
    ),
    Exchange(
        "a delete in a dry run",
        "DELETE",
        POD,
        200,
        body={"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]},
    ),
    Exchange("pods by label", "GET", PODS, 200, query={"labelSelector": "app in (db),app!=web"}),
    Exchange("pods by a bad label", "GET", PODS, 400, "BadRequest", query={"labelSelector": "app in ("}),
    Exchange("pods by an unknown field", "GET", PODS, 400, "BadRequest", query={"fieldSelector": "spec.colour=red"}),
    Exchange(
        "an eviction of another uid",
        "POST",
        f"{POD}/eviction",
        409,
        "Conflict",
        {
            "apiVersion": "{policy}",
            "kind": "Eviction",
            "metadata": {"name": "db-0", "namespace": "{ns}"},
            "deleteOptions": {"preconditions": {"uid": OTHER_UID}},
        },
    ),
    Exchange(
        "an eviction of nothing",
        "POST",
        f"{PODS}/none/eviction",
        404,
        "NotFound",
        {"apiVersion": "{policy}", "kind": "Eviction", "metadata": {"name": "none", "namespace": "{ns}"}},
    ),
    *PATCHES,
)
