"""Eviction and disruption budgets, and the sequence that drains a node."""

from typing import Any

from lightkube.resources.core_v1 import Node, Pod
from lightkube.resources.policy_v1 import PodDisruptionBudget

BUDGETS = "/apis/policy/v1/namespaces/production/poddisruptionbudgets"


def eviction(name: str) -> str:
    """The eviction address of a production pod."""
    return f"/api/v1/namespaces/production/pods/{name}/eviction"


async def budget(lab: Any, app: str, **spec: Any) -> None:
    """Protect an application."""
    body = {"metadata": {"name": f"{app}-pdb"}, "spec": {"selector": {"matchLabels": {"app": app}}, **spec}}
    assert (await lab.call("POST", BUDGETS, body))[0] == 201


async def test_budget_refuses_eviction(lab: Any) -> None:
    """An eviction that a budget forbids is 429 in the server's words, and the pod stays."""
    await budget(lab, "web-server", minAvailable=3)
    code, status = await lab.call("POST", eviction("web-server-123"), {})
    assert (code, status["reason"]) == (429, "TooManyRequests")
    assert status["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert status["details"]["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget web-server-pdb needs 3 healthy pods and has 3 currently",
        }
    ]
    assert "deletionTimestamp" not in (await lab.get("/api/v1/namespaces/production/pods/web-server-123"))["metadata"]


async def test_budget_frees_again(lab: Any) -> None:
    """One eviction is allowed, the next waits until the replacement is ready."""
    await budget(lab, "web-server", maxUnavailable=1)
    other = next(
        pod["metadata"]["name"]
        for pod in lab.pods("production", "web-server")
        if pod["metadata"]["name"] != "web-server-123"
    )
    assert (await lab.call("POST", eviction("web-server-123"), {}))[0] == 201
    assert (await lab.call("POST", eviction(other), {}))[0] == 429
    await lab.until(lambda: lab.ready("production", "web-server") == 3)
    assert (await lab.call("POST", eviction(other), {}))[0] == 201


async def test_budget_status(lab: Any) -> None:
    """A budget's status shows its numbers, percentages rounded up; lightkube reads it."""
    await budget(lab, "web-server", minAvailable="50%")
    await lab.until(
        lambda: lab.status("poddisruptionbudgets", "production", "web-server-pdb").get("disruptionsAllowed") == 1
    )
    found = await lab.client.get(PodDisruptionBudget, "web-server-pdb")
    assert (found.status.expectedPods, found.status.desiredHealthy, found.status.currentHealthy) == (3, 2, 3)


async def test_unhealthy_pods_of_a_broken_application(lab: Any) -> None:
    """Pods that are not ready stay too while the budget is not met, unless the budget always allows them to go."""
    await budget(lab, "checkout", minAvailable=1)
    name = lab.pods("production", "checkout")[0]["metadata"]["name"]
    assert (await lab.call("POST", eviction(name), {}))[0] == 429
    body = {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}
    await lab.call("PATCH", f"{BUDGETS}/checkout-pdb", body, patch="merge")
    assert (await lab.call("POST", eviction(name), {}))[0] == 201


async def test_eviction_preconditions_and_absence(lab: Any) -> None:
    """An eviction of another uid is 409, of a pod that is not there 404."""
    options = {"deleteOptions": {"preconditions": {"uid": "another"}}}
    assert (await lab.call("POST", eviction("web-server-123"), options))[0] == 409
    assert (await lab.call("POST", eviction("nobody"), {}))[0] == 404


async def test_draining_a_node(lab: Any) -> None:
    """Cordoned and emptied by evictions, a node keeps its daemon's pod only, and the others come up elsewhere."""
    await lab.client.patch(Node, "node-1", {"spec": {"unschedulable": True}})
    pods = [pod async for pod in lab.client.list(Pod, namespace="*", fields={"spec.nodeName": "node-1"})]
    moving = [pod for pod in pods if pod.metadata.ownerReferences[0].kind != "DaemonSet"]
    assert moving
    for pod in moving:
        eviction_of = Pod.Eviction(
            metadata=pod.metadata.__class__(name=pod.metadata.name, namespace=pod.metadata.namespace)
        )
        await lab.client.create(eviction_of, pod.metadata.name)
    await lab.until(lambda: {pod["metadata"]["labels"]["app"] for pod in on(lab, "node-1")} == {"log-agent"})
    await lab.until(lambda: lab.ready("production", "web-server") == lab.ready("production", "postgres") == 3)
    await lab.client.patch(Node, "node-1", {"spec": {"unschedulable": None}})
    assert [write["subresource"] for write in await lab.writes()].count("eviction") == len(moving)


def on(lab: Any, node: str) -> list[Any]:
    """The pods on a node."""
    return [pod for pod in lab.sandbox.cluster.store.objects("pods") if pod["spec"].get("nodeName") == node]
