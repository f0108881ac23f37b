"""Controllers: pods follow their owners, and scripted crash loops heal by what heals them."""

from typing import Any

import pytest
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.core_v1 import Node, Pod

APPS = "/apis/apps/v1/namespaces/production"
RESTART = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}


def names(pods: list[Any]) -> set[str]:
    """The names of pods."""
    return {pod["metadata"]["name"] for pod in pods}


def rolled_out(lab: Any, name: str, replicas: int) -> bool:
    """What `kubectl rollout status` waits for."""
    found = lab.sandbox.cluster.store.get("deployments", "production", name)
    status = found["status"]
    return (
        status.get("observedGeneration") == found["metadata"]["generation"]
        and status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == replicas
        and len(lab.pods("production", name)) == replicas
    )


async def test_scale_subresource_moves_pods(lab: Any) -> None:
    """A scale up and down through lightkube's scale subresource is followed by pods and counters."""
    scale = await lab.client.get(Deployment.Scale, "web-server")
    assert (scale.spec.replicas, scale.status.selector) == (3, "app=web-server")
    scale.spec = ScaleSpec(replicas=5)
    assert (await lab.client.replace(scale, "web-server")).spec.replicas == 5
    await lab.until(lambda: rolled_out(lab, "web-server", 5))
    await lab.client.patch(Deployment.Scale, "web-server", {"spec": {"replicas": 1}})
    await lab.until(lambda: rolled_out(lab, "web-server", 1))
    code, _ = await lab.call("PATCH", f"{APPS}/deployments/web-server/scale", {"spec": {"replicas": -1}}, patch="merge")
    assert code == 422


async def test_stale_scale_conflicts(lab: Any) -> None:
    """A Scale carries its workload's resourceVersion: an old one is 409."""
    path = f"{APPS}/deployments/web-server/scale"
    old = await lab.get(path)
    await lab.call("PATCH", path, {"spec": {"replicas": 4}}, patch="merge")
    assert (await lab.call("PUT", path, old))[0] == 409


async def test_deleted_pod_is_replaced(lab: Any) -> None:
    """A deleted pod ends and another one of the same replica set takes its place under a new name."""
    owner = lab.pods("production", "web-server")[0]["metadata"]["ownerReferences"][0]["name"]
    before = names(lab.pods("production", "web-server"))
    await lab.client.delete(Pod, "web-server-123")
    await lab.until(lambda: "web-server-123" not in names(lab.pods("production", "web-server")))
    await lab.until(lambda: lab.ready("production", "web-server") == 3)
    (replacement,) = names(lab.pods("production", "web-server")) - before
    assert replacement.startswith(f"{owner}-")
    assert len(replacement) == len(owner) + 6


async def test_rollout_restart_replaces_all_pods(lab: Any) -> None:
    """A restart makes a new revision, keeps enough pods available meanwhile, and leaves the old replica set empty."""
    before = names(lab.pods("production", "web-server"))
    fewest = 3

    def done() -> bool:
        nonlocal fewest
        fewest = min(fewest, lab.ready("production", "web-server"))
        return rolled_out(lab, "web-server", 3)

    await lab.client.patch(Deployment, "web-server", RESTART)
    await lab.until(done)
    assert not before & names(lab.pods("production", "web-server"))
    assert fewest == 3
    page = await lab.get(f"{APPS}/replicasets?labelSelector=app=web-server")
    sizes = {
        item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: item["spec"]["replicas"]
        for item in page["items"]
    }
    assert sizes == {"1": 0, "2": 3}
    assert (await lab.get(f"{APPS}/deployments/web-server"))["metadata"]["annotations"] == {
        "deployment.kubernetes.io/revision": "2"
    }


async def roll_back(lab: Any, name: str, revision: str) -> None:
    """Put an old revision's template back, as `kubectl rollout undo` does."""
    page = await lab.get(f"{APPS}/replicasets?labelSelector=app={name}")
    old = next(
        item
        for item in page["items"]
        if item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == revision
    )
    template = old["spec"]["template"]
    del template["metadata"]["labels"]["pod-template-hash"]
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    assert (await lab.call("PATCH", f"{APPS}/deployments/{name}", patch, patch="json"))[0] == 200


async def test_only_a_rollback_heals_checkout(lab: Any) -> None:
    """Revision 2 of checkout crash-loops, also after a restart; revision 1's template heals it as a new revision."""
    condition = lab.status("deployments", "production", "checkout")["conditions"][1]
    assert (condition["status"], condition["reason"]) == ("False", "ProgressDeadlineExceeded")
    before = names(lab.pods("production", "checkout"))
    await lab.client.patch(Deployment, "checkout", RESTART)
    await lab.until(lambda: len(names(lab.pods("production", "checkout")) - before) == 3)
    await lab.until(lambda: all(pod["status"].get("containerStatuses") for pod in lab.pods("production", "checkout")))
    for pod in lab.pods("production", "checkout"):
        assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    await roll_back(lab, "checkout", "1")
    await lab.until(lambda: rolled_out(lab, "checkout", 3))
    revision = (await lab.get(f"{APPS}/deployments/checkout"))["metadata"]["annotations"]
    assert revision["deployment.kubernetes.io/revision"] == "4"


@pytest.mark.parametrize("how", ["pod", "rollout"])
async def test_a_restart_heals_payments(lab: Any, how: str) -> None:
    """The crash loop of payments ends with its pod's deletion, and as well with a rollout restart."""
    crashing = next(pod for pod in lab.pods("production", "payments") if lab.restarts(pod))
    if how == "pod":
        await lab.client.delete(Pod, crashing["metadata"]["name"])
    else:
        await lab.client.patch(Deployment, "payments", RESTART)
    await lab.until(lambda: rolled_out(lab, "payments", 2))
    assert not any(lab.restarts(pod) for pod in lab.pods("production", "payments"))


@pytest.mark.parametrize(("fault", "reason"), [("crashloop", "Error"), ("oomkilled", "OOMKilled")])
async def test_crash_loops_go_on(lab: Any, fault: str, reason: str) -> None:
    """A pod with a scripted fault is not ready and its restart count rises."""
    annotations = {"sandbox.kubernaut.io/fault": fault}
    body = {
        "metadata": {"name": "weak", "annotations": annotations, "labels": {"app": "weak"}},
        "spec": {"containers": [{"name": "main", "image": "a:1"}]},
    }
    assert (await lab.call("POST", "/api/v1/namespaces/default/pods", body))[0] == 201
    await lab.until(lambda: lab.restarts(lab.pods("default", "weak")[0]) >= 3)
    container = lab.pods("default", "weak")[0]["status"]["containerStatuses"][0]
    assert container["lastState"]["terminated"]["reason"] == reason
    assert not container["ready"]


async def test_stateful_pods_keep_their_names_and_order(lab: Any) -> None:
    """A restart replaces pods one at a time from the highest number down; scaling adds and removes at the end."""
    order: list[str] = []
    stop = lab.sandbox.cluster.store.listen(
        lambda change: (
            order.append(change.after["metadata"]["name"])
            if (change.plural, change.type) == ("pods", "DELETED")
            else None
        )
    )
    await lab.client.patch(StatefulSet, "postgres", RESTART)
    await lab.until(lambda: len(order) == 3)
    await lab.until(lambda: lab.ready("production", "postgres") == 3)
    stop()
    assert order == ["postgres-2", "postgres-1", "postgres-0"]
    await lab.client.patch(StatefulSet.Scale, "postgres", {"spec": {"replicas": 4}})
    await lab.until(lambda: lab.ready("production", "postgres") == 4)
    await lab.client.patch(StatefulSet.Scale, "postgres", {"spec": {"replicas": 1}})
    await lab.until(lambda: names(lab.pods("production", "postgres")) == {"postgres-0"})


async def test_daemon_pods_follow_nodes(lab: Any) -> None:
    """A new node gets its daemon pod; a deleted node takes its pods with it; a restart replaces all."""
    await lab.call("POST", "/api/v1/nodes", (await lab.get("/api/v1/nodes/node-1")) | {"metadata": {"name": "node-4"}})
    await lab.until(lambda: lab.ready("production", "log-agent") == 4)
    await lab.client.delete(Node, "node-4")
    await lab.until(lambda: len(lab.pods("production", "log-agent")) == 3)
    before = names(lab.pods("production", "log-agent"))
    await lab.call("PATCH", f"{APPS}/daemonsets/log-agent", RESTART, patch="merge")
    await lab.until(
        lambda: lab.ready("production", "log-agent") == 3 and not before & names(lab.pods("production", "log-agent"))
    )
    assert {pod["spec"]["nodeName"] for pod in lab.pods("production", "log-agent")} == {"node-1", "node-2", "node-3"}


async def test_cordoned_nodes_take_no_pods(lab: Any) -> None:
    """With all nodes cordoned a new pod stays Pending and says why; an uncordoned node takes it."""
    for node in ("node-1", "node-2", "node-3"):
        await lab.client.patch(Node, node, {"spec": {"unschedulable": True}})
    await lab.client.patch(Deployment.Scale, "web-server", {"spec": {"replicas": 4}})

    def reason() -> str:
        pending = [pod for pod in lab.pods("production", "web-server") if pod["status"]["phase"] == "Pending"]
        conditions = pending[0]["status"].get("conditions", []) if pending else []
        return conditions[0]["message"] if conditions else ""

    await lab.until(lambda: reason() == "0/3 nodes are available: 3 node(s) were unschedulable.")
    assert (await lab.get("/api/v1/nodes/node-2"))["spec"]["taints"][0]["key"] == "node.kubernetes.io/unschedulable"
    await lab.client.patch(Node, "node-2", {"spec": {"unschedulable": None}})
    await lab.until(lambda: lab.ready("production", "web-server") == 4)
    assert "taints" not in (await lab.get("/api/v1/nodes/node-2"))["spec"]


async def test_pods_that_fit_nowhere_wait(lab: Any) -> None:
    """A request that no node can hold leaves the pod Pending while the old pods stay."""
    resources = {"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}}
    body = {"spec": {"template": {"spec": {"containers": [{"name": "web-server", "resources": resources}]}}}}
    await lab.client.patch(Deployment, "web-server", body)
    await lab.until(
        lambda: any(
            pod["status"]["phase"] == "Pending" and pod["status"].get("conditions")
            for pod in lab.pods("production", "web-server")
        )
    )
    assert lab.ready("production", "web-server") == 3


async def test_paused_deployment_does_not_roll(lab: Any) -> None:
    """A paused deployment keeps its pods when the template changes, and rolls when it is resumed."""
    before = names(lab.pods("production", "web-server"))
    await lab.client.patch(Deployment, "web-server", {"spec": {"paused": True, "replicas": 4} | RESTART["spec"]})
    await lab.until(lambda: lab.ready("production", "web-server") == 4)
    assert before <= names(lab.pods("production", "web-server"))
    await lab.client.patch(Deployment, "web-server", {"spec": {"paused": False}})
    await lab.until(lambda: rolled_out(lab, "web-server", 4))
    assert not before & names(lab.pods("production", "web-server"))


async def test_logs(lab: Any) -> None:
    """A pod's log is text; a crashing container's names its exit."""
    crashing = lab.pods("production", "checkout")[0]["metadata"]["name"]
    async with lab.http.get(f"/api/v1/namespaces/production/pods/{crashing}/log") as response:
        assert response.content_type == "text/plain"
        assert "exiting with code 1" in await response.text()
