"""The wire contract: keys, fingerprints, refusals, cancel, catalogue, observe, health, malformed requests."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.executor.conftest import Cluster, Executor, eventually

WEB = {"namespace": "production", "resource_name": "web-server", "replicas": 4}


@pytest.mark.requirement("BR-WF-001")
def test_the_same_key_gets_the_first_answer_and_no_second_effect(executor: Executor, cluster: Cluster) -> None:
    """Eight deliveries of one order at once: one write, one action id."""
    with ThreadPoolExecutor(8) as pool:
        orders = [pool.submit(executor.order, "scale_deployment", WEB, key="replayed") for _ in range(8)]
    answers = [order.result().json() for order in orders]
    assert {answer["action_id"] for answer in answers} == {executor.finished("replayed")["action_id"]}
    assert len(cluster.writes()) == 1


def test_the_same_key_for_another_order_is_422(executor: Executor) -> None:
    """Type, parameters and dry_run make the order; the aliases of a type are the same type."""
    executor.execute("scale_deployment", WEB, key="taken")
    assert executor.order("scale-deployment", WEB, key="taken").status_code == 200
    for answer in (
        executor.order("scale_deployment", WEB | {"replicas": 5}, key="taken"),
        executor.order("scale_deployment", WEB, key="taken", dry_run=True),
        executor.order("restart_pod", {"namespace": "production", "resource_name": "x"}, key="taken"),
    ):
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    ("action", "parameters", "field"),
    [
        ("scale_deployment", WEB | {"replicas": 101}, "action.parameters.replicas"),
        ("scale_deployment", WEB | {"replicas": "3"}, "action.parameters.replicas"),
        ("scale_deployment", WEB | {"namespace": "Bad_Name"}, "action.parameters.namespace"),
        ("scale_deployment", {"namespace": "production", "replicas": 3}, "action.parameters.resource_name"),
        ("scale_deployment", WEB | {"surprise": 1}, "action.parameters.surprise"),
        (
            "increase_resources",
            {"namespace": "staging", "resource_name": "api-server", "resource_type": "deployment", "memory": "abc"},
            "action.parameters.memory",
        ),
        ("launch_rockets", {}, "action.type"),
    ],
)
def test_what_breaks_the_schema_is_422_and_names_field_value_and_rule(
    executor: Executor, cluster: Cluster, action: str, parameters: dict[str, object], field: str
) -> None:
    """Nothing is stored and nothing changes, so the key stays free."""
    answer = executor.order(action, parameters, key=f"bad {field} {len(parameters)}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0].keys() == {"field", "value", "rule"}
    assert answer.json()["errors"][0]["field"] == field
    assert executor.by_key(f"bad {field} {len(parameters)}").status_code == 404
    assert cluster.writes() == []


def test_what_a_rule_forbids_is_403_with_the_result(executor: Executor, cluster: Cluster) -> None:
    """The status line says no, the body is the refusal with its rule; again it is the same, by key it is 200."""
    order = {"namespace": "kube-system", "resource_name": "coredns", "replicas": 3}
    first, again = (executor.order("scale_deployment", order, key="forbidden") for _ in range(2))
    result = first.json()
    assert (first.status_code, again.status_code, again.json()) == (403, 403, result)
    assert (result["success"], result["status"], result["changes"]) == (False, "refused", [])
    assert (result["error"]["class"], result["error"]["rule"]) == ("forbidden", "namespace_protected")
    assert "kube-system" in result["error"]["message"]
    asked = executor.by_key("forbidden")
    assert (asked.status_code, asked.json()) == (200, result)
    assert cluster.writes() == []


@pytest.mark.parametrize(
    ("content", "headers", "code", "field"),
    [
        ("{bad", {"Idempotency-Key": "k"}, 400, "body"),
        ("{}", {"Idempotency-Key": "k"}, 400, "action"),
        ('{"action": {"type": "notify_only", "parameters": {"message": "m"}}}', {}, 400, "Idempotency-Key"),
        ('{"action": {"type": "x"}}', {"Idempotency-Key": "x" * 257}, 400, "Idempotency-Key"),
        ('{"action": {"type": "x"}}', {"Idempotency-Key": "k", "Ledger-Id": ""}, 400, "Ledger-Id"),
        ('{"action": {"type": 5}}', {"Idempotency-Key": "k"}, 400, "action.type"),
        ('{"action": {"type": "x"}, "context": {"remaining_seconds": "soon"}}', {"Idempotency-Key": "k"}, 400, None),
    ],
)
def test_a_malformed_request_is_400_with_the_field(
    executor: Executor, content: str, headers: dict[str, str], code: int, field: str | None
) -> None:
    """Never a 500, always a problem."""
    answer = executor.http.post("/api/v1/execute", content=content, headers=headers)
    assert answer.status_code == code, answer.text
    assert answer.json()["status"] == code
    assert field is None or answer.json()["errors"][0]["field"] == field


def test_any_content_type_is_json_and_too_much_is_413(executor: Executor) -> None:
    """The body decides; over 1 MiB it is not even read."""
    body = json.dumps({"action": {"type": "notify_only", "parameters": {"message": "m"}}, "extra": 1})
    headers = {"Idempotency-Key": "text", "Content-Type": "text/plain"}
    assert executor.http.post("/api/v1/execute", content=body, headers=headers).status_code == 200
    answer = executor.http.post("/api/v1/execute", content=b"x" * (1024 * 1024 + 1), headers=headers)
    assert answer.status_code == 413
    assert executor.http.get("/api/v1/execute").status_code == 405
    assert executor.http.get("/api/v1/nowhere").headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("context", "error_class"),
    [({"remaining_seconds": 0}, "timeout"), ({"cluster": "elsewhere"}, "wrong_cluster")],
)
def test_what_may_not_begin_is_refused_and_remembered(
    executor: Executor, cluster: Cluster, context: dict[str, object], error_class: str
) -> None:
    """200 refused with the class; nothing was attempted; the row stays."""
    answer = executor.order("scale_deployment", WEB, key=f"refused-{error_class}", **context)
    assert (answer.status_code, answer.json()["status"]) == (200, "refused")
    assert answer.json()["error"]["class"] == error_class
    assert executor.by_key(f"refused-{error_class}").json()["status"] == "refused"
    assert cluster.writes() == []


def test_a_cancelled_unknown_key_is_refused_for_ever(executor: Executor, cluster: Cluster) -> None:
    """The request that arrives after its cancel changes nothing; undo of it is a successful no-op."""
    tombstone = executor.cancel("late").json()
    assert (tombstone["status"], tombstone["success"], tombstone["changes"]) == ("cancelled", False, [])
    answer = executor.order("scale_deployment", WEB, key="late")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert executor.undo("late")["status"] == "completed"
    assert cluster.writes() == []


def test_cancel_of_a_finished_action_answers_its_result(executor: Executor) -> None:
    """What is done is done."""
    done = executor.execute("scale_deployment", WEB, key="done")
    assert executor.cancel("done").json()["status"] == done["status"] == "completed"


def test_unknown_keys_and_ids_are_404_with_the_ledger(executor: Executor) -> None:
    """The caller learns whether it is the same ledger that does not know."""
    ledger = executor.http.get("/api/v1/actions").json()["ledger_id"]
    for answer in (executor.by_key("never"), executor.http.get("/api/v1/status/never")):
        assert (answer.status_code, answer.json()["ledger_id"]) == (404, ledger)
    refused = executor.execute("undo", {"key": "never"}, key="never:undo")
    assert (refused["status"], refused["error"]["class"]) == ("refused", "not_found")


def test_an_order_for_another_ledger_is_412(executor: Executor) -> None:
    """It says which ledger this is, and nothing is known of the key."""
    order = {"action": {"type": "notify_only", "parameters": {"message": "m"}}}
    headers = {"Idempotency-Key": "elsewhere", "Ledger-Id": "gone"}
    answer = executor.http.post("/api/v1/execute", json=order, headers=headers)
    ledger = executor.http.get("/api/v1/actions").json()["ledger_id"]
    assert (answer.status_code, answer.json()["ledger_id"]) == (412, ledger)
    assert answer.headers["content-type"] == "application/problem+json"
    assert executor.by_key("elsewhere").status_code == 404
    answer = executor.http.post("/api/v1/execute", json=order, headers={**headers, "Ledger-Id": ledger})
    assert answer.json()["status"] == "completed"


def test_status_by_action_id_and_keys_with_slashes(executor: Executor) -> None:
    """Keys carry step paths."""
    result = executor.execute("notify_only", {"message": "m"}, key="exec-1:a/b[2]:r1")
    assert executor.http.get(f"/api/v1/status/{result['action_id']}").json()["key"] == "exec-1:a/b[2]:r1"
    assert executor.by_key("exec-1:a/b[2]:r1").status_code == 200


def test_the_catalogue_is_sorted_flat_and_has_a_digest(executor: Executor) -> None:
    """Every entry has a closed JSON Schema, its risk, and reversibility or the reason against it."""
    answer = executor.http.get("/api/v1/actions").json()
    types = [entry["type"] for entry in answer["actions"]]
    assert types == sorted(types)
    assert {"scale_deployment", "restart_pod", "drain_node", "notify_only"} <= {*types}
    assert "undo" not in types
    assert answer["digest"].startswith("sha256:")
    for entry in answer["actions"]:
        assert entry["parameters"]["additionalProperties"] is False
        assert entry["reversible"] or entry["irreversible_reason"]
        for schema in entry["parameters"]["properties"].values():
            assert "type" in schema or "enum" in schema, entry["type"]


def test_a_vanished_pod_is_observed_through_its_owner(executor: Executor, cluster: Cluster) -> None:
    """Found is false, the facts are the top owner's."""
    observe = {"kind": "pod", "namespace": "production", "name": "web-server-123"}
    seen = executor.http.post("/api/v1/observe", json=observe).json()
    assert (seen["found"], seen["kind"], seen["facts"]["ready"]) == (True, "Pod", True)
    assert [owner["kind"] for owner in seen["owners"]] == ["ReplicaSet", "Deployment"]
    cluster.http.delete(cluster.path("pods", "web-server-123"))
    eventually(lambda: not cluster.exists("pods", "web-server-123"), "the pod is gone")
    seen = executor.http.post("/api/v1/observe", json=observe).json()
    assert (seen["found"], seen["resolved_through_owner"]) == (False, True)
    assert seen["owners"][-1] == {"kind": "Deployment", "namespace": "production", "name": "web-server"}
    assert seen["facts"]["replicas"] == 3


def test_observing_workloads_and_nodes(executor: Executor) -> None:
    """Facts are flat and tell replicas, crash loops and schedulability."""
    checkout = {"kind": "Deployment", "namespace": "production", "name": "checkout"}
    facts = executor.http.post("/api/v1/observe", json=checkout).json()["facts"]
    assert (facts["replicas"], facts["crash_looping"]) == (3, 3)
    node = executor.http.post("/api/v1/observe", json={"kind": "node", "name": "node-1"}).json()
    assert (node["facts"]["ready"], node["facts"]["unschedulable"]) == (True, False)
    bad = executor.http.post("/api/v1/observe", json={"kind": "Secret", "namespace": "a", "name": "b"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "kind")


def test_health_and_metrics(executor: Executor) -> None:
    """Components by name, and a counter by action and status."""
    executor.execute("notify_only", {"message": "m"})
    health = executor.http.get("/health").json()
    assert (health["status"], health["service"]) == ("healthy", "executor-service")
    assert health["components"] == {"kubernetes": True, "ledger": True}
    assert executor.http.get("/readyz").status_code == 200
    metrics = executor.http.get("/metrics").text
    assert 'executor_actions_total{action="notify_only",status="completed"}' in metrics
    assert "executor_action_duration_seconds_bucket" in metrics
    assert executor.http.get("/openapi.json").json()["openapi"].startswith("3.1")
