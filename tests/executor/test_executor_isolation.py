"""quarantine_pod, update_network_policy and restart_daemonset."""

from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, essence, eventually

POD = {"namespace": "production", "resource_name": "web-server-123"}
POLICY = {"namespace": "production", "resource_name": "web"}
RULES = {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}]}


def service(cluster: Cluster) -> None:
    """A service in front of web-server."""
    cluster.create("services", {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web-server"}}})


def test_a_pod_in_quarantine_runs_on_and_is_replaced(executor: Executor, cluster: Cluster) -> None:
    """No service selects it, its controller makes another; undo puts it back in and the surplus goes."""
    service(cluster)
    before = cluster.get("pods", "web-server-123")
    result = executor.execute("quarantine_pod", POD)
    assert (result["status"], result["result"]["services"]) == ("completed", ["web"]), result
    pod = cluster.get("pods", "web-server-123")
    assert (pod["metadata"]["labels"].get("app"), pod["metadata"]["labels"]["quarantined"]) == (None, "true")
    assert "ownerReferences" not in pod["metadata"]
    assert len(cluster.pods("app=web-server")) == 3
    assert executor.undo(result["key"])["status"] == "completed"
    assert cluster.get("pods", "web-server-123")["metadata"]["labels"] == before["metadata"]["labels"]
    eventually(
        lambda: len([p for p in cluster.pods("app=web-server") if "deletionTimestamp" not in p["metadata"]]) == 3, "3"
    )


def test_a_mark_alone_leaves_the_pod_in_service(executor: Executor, cluster: Cluster) -> None:
    """remove_from_service: false only labels; drift of the label is a conflict."""
    service(cluster)
    wanted = POD | {"quarantine_label": "look=at-me", "remove_from_service": False}
    result = executor.execute("quarantine-pod", wanted)
    assert cluster.get("pods", "web-server-123")["metadata"]["labels"]["app"] == "web-server"
    assert executor.execute("quarantine_pod", wanted)["result"] == {"already": True}
    cluster.merge("pods", "web-server-123", {"metadata": {"labels": {"look": "away"}}})
    assert executor.undo(result["key"])["error"]["class"] == "conflict"


def test_a_dry_quarantine_and_its_bounds(executor: Executor, cluster: Cluster) -> None:
    """Listed, not done; a numbered pod cannot be replaced; a bad label is named."""
    service(cluster)
    result = executor.execute("quarantine_pod", POD, dry_run=True)
    assert {change["field"] for change in result["changes"]} == {"/metadata/labels/quarantined", "/metadata/labels/app"}
    assert cluster.writes() == []
    numbered = executor.execute("quarantine_pod", POD | {"resource_name": "postgres-0"})
    assert (numbered["error"]["class"], "StatefulSet postgres" in numbered["message"]) == ("permanent", True)
    answer = executor.order("quarantine_pod", POD | {"quarantine_label": "no value"})
    assert answer.json()["errors"][0]["field"] == "action.parameters.quarantine_label"


def test_rules_of_a_policy_change_and_come_back(executor: Executor, cluster: Cluster) -> None:
    """Undo gives the policy back; drift is a conflict."""
    spec = {"podSelector": {"matchLabels": {"app": "web-server"}}, "policyTypes": ["Ingress"], "ingress": [{}]}
    before = cluster.create("networkpolicies", {"metadata": {"name": "web"}, "spec": spec})
    result = executor.execute("update_network_policy", POLICY | {"rules": RULES})
    assert (result["status"], result["result"]) == ("completed", {"created": False}), result
    assert cluster.get("networkpolicies", "web")["spec"]["ingress"] == RULES["ingress"]
    assert executor.undo(result["key"])["status"] == "completed"
    assert essence(cluster.get("networkpolicies", "web")) == essence(before)
    key = executor.execute("update_network_policy", POLICY | {"rules": RULES})["key"]
    cluster.merge("networkpolicies", "web", {"spec": {"ingress": []}})
    assert executor.undo(key)["error"]["class"] == "conflict"


def test_a_policy_is_created_once_and_undone_by_deletion(executor: Executor, cluster: Cluster) -> None:
    """Only with create: true; a policy that somebody changed stays; one that is gone is no problem."""
    assert executor.execute("update_network_policy", POLICY | {"rules": RULES})["error"]["class"] == "not_found"
    wanted = POLICY | {"create": True, "rules": RULES | {"pod_selector": {"matchLabels": {"app": "web-server"}}}}
    dry = executor.execute("update_network_policy", wanted, dry_run=True)
    assert (dry["changes"][0]["field"], cluster.all("networkpolicies")) == ("", [])
    result = executor.execute("update_network_policy", wanted)
    assert (result["result"], result["undo"]["available"]) == ({"created": True}, True), result
    assert executor.undo(result["key"])["status"] == "completed"
    assert not cluster.exists("networkpolicies", "web")
    assert executor.by_key(result["key"]).json()["undo"]["available"] is False
    changed = executor.execute("update_network_policy", wanted)["key"]
    cluster.merge("networkpolicies", "web", {"spec": {"ingress": []}})
    assert executor.undo(changed)["error"]["class"] == "conflict"
    assert cluster.exists("networkpolicies", "web")


def test_creating_is_settled_after_a_lost_answer(plain_executor: Executor, cluster: Cluster) -> None:
    """The answer was cut off: what is there is recognised as ours, and nothing is created twice."""
    cluster.fault("create", "networkpolicies", drop=True)
    wanted = POLICY | {"create": True, "rules": RULES | {"pod_selector": {}}}
    cluster.fault("create", "networkpolicies", status=500)
    result = plain_executor.execute("update_network_policy", wanted)
    assert (result["status"], len(cluster.writes("web"))) == ("completed", 1), result


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"ingress": "all"}, "rules.ingress"),
        ({"policy_types": ["Both"]}, "rules.policy_types.0"),
        ({"x": 1}, "rules.x"),
    ],
)
def test_bounds_of_a_policy(executor: Executor, rules: dict[str, Any], field: str) -> None:
    """Each rule is named with its field; what only the API server knows is a permanent failure."""
    answer = executor.order("update_network_policy", POLICY | {"rules": rules})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"action.parameters.{field}")
    odd = {"create": True, "rules": {"pod_selector": {}, "ingress": [{"from": "everywhere"}]}}
    assert executor.execute("update_network_policy", POLICY | odd)["error"]["class"] == "permanent"


def test_a_daemonset_restarts_on_every_node(executor: Executor, cluster: Cluster) -> None:
    """All pods are new and ready; dry run touches nothing; it says before that it cannot be undone."""
    target = {"namespace": "production", "resource_name": "log-agent"}
    old = {pod["metadata"]["uid"] for pod in cluster.pods("app=log-agent")}
    assert executor.execute("restart_daemonset", target, dry_run=True)["status"] == "completed"
    assert cluster.writes() == []
    result = executor.execute("restart_daemonset", target)
    assert (result["status"], result["result"]) == ("completed", {"replicas": 3, "ready_replicas": 3}), result
    left = [pod["metadata"] for pod in cluster.pods("app=log-agent") if "deletionTimestamp" not in pod["metadata"]]
    assert old.isdisjoint(metadata["uid"] for metadata in left)
    assert executor.undo(result["key"])["status"] == "refused"
    assert executor.execute("restart_daemonset", target | {"rolling_restart": False})["status"] == "refused"
    assert executor.order("restart_daemonset", target | {"rolling_restart": "x"}).status_code == 422


def test_other_names_mean_the_same(executor: Executor, cluster: Cluster) -> None:
    """restart_deployment is restart_pod of a deployment, under one key and fingerprint."""
    target = {"namespace": "production", "resource_name": "web-server"}
    result = executor.execute("restart_deployment", target, key="same-name")
    assert (result["status"], len(cluster.writes("web-server"))) == ("completed", 1), result
    again = executor.order("restart-pod", target | {"resource_type": "deployment"}, key="same-name")
    assert (again.status_code, again.json()["action_id"]) == (200, result["action_id"])
