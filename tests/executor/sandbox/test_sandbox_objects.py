"""Objects: creating, reading, changing and deleting them as a real API server would."""

from typing import Any

import pytest
from lightkube import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, ReplicaSet
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod

DEPLOYMENTS = "/apis/apps/v1/namespaces/production/deployments"
WEB = f"{DEPLOYMENTS}/web-server"
CONFIGMAPS = "/api/v1/namespaces/production/configmaps"


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    """A small deployment body."""
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}}
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


async def test_create_read_update_delete(lab: Any) -> None:
    """An object made through lightkube has identity, can be read, replaced and deleted, and is then gone."""
    made = await lab.client.create(
        ConfigMap(metadata=ObjectMeta(name="settings", namespace="production"), data={"a": "1"})
    )
    assert made.metadata.uid
    assert made.metadata.creationTimestamp
    made.data = {"a": "2"}
    replaced = await lab.client.replace(made)
    assert int(replaced.metadata.resourceVersion) > int(made.metadata.resourceVersion)
    assert (await lab.client.get(ConfigMap, "settings")).data == {"a": "2"}
    await lab.client.delete(ConfigMap, "settings")
    with pytest.raises(ApiError) as gone:
        await lab.client.get(ConfigMap, "settings")
    assert (gone.value.status.code, gone.value.status.reason) == (404, "NotFound")
    assert gone.value.status.message == 'configmaps "settings" not found'


async def test_seed_is_ready_at_once(lab: Any) -> None:
    """Everything of the seed is ready at the start except the scripted faults."""
    found = {pod["metadata"]["name"]: pod for pod in lab.sandbox.cluster.store.objects("pods")}
    owner = found["web-server-123"]["metadata"]["ownerReferences"][0]
    assert owner["kind"] == "ReplicaSet"
    assert (await lab.client.get(ReplicaSet, owner["name"])).metadata.uid == owner["uid"]
    assert lab.ready("production", "web-server") == lab.ready("production", "postgres") == 3
    assert lab.ready("production", "log-agent") == 3
    assert lab.ready("staging", "api-server") == 2
    assert lab.ready("production", "checkout") == 0
    assert lab.ready("production", "payments") == 1
    container = (await lab.client.get(Deployment, "api-server", namespace="staging")).spec.template.spec.containers[0]
    assert container.resources.requests == {"cpu": "250m", "memory": "512Mi"}
    assert container.resources.limits == {"cpu": "500m", "memory": "1Gi"}
    assert {node.metadata.name async for node in lab.client.list(Node)} == {"node-1", "node-2", "node-3"}


async def test_generate_name(lab: Any) -> None:
    """A generateName becomes a name with five random characters."""
    code, made = await lab.call("POST", CONFIGMAPS, {"metadata": {"generateName": "note-"}})
    assert code == 201
    assert len(made["metadata"]["name"]) == len("note-") + 5


async def test_create_refusals(lab: Any) -> None:
    """An unknown namespace is 404, a taken name 409, a missing name 422, a foreign kind 400."""
    cases = [
        ("/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "a"}}, 404, "NotFound"),
        (DEPLOYMENTS, deployment("web-server"), 409, "AlreadyExists"),
        (CONFIGMAPS, {"metadata": {}}, 422, "Invalid"),
        (CONFIGMAPS, {"kind": "Secret", "metadata": {"name": "a"}}, 400, "BadRequest"),
        (CONFIGMAPS, {"metadata": {"name": "a", "namespace": "staging"}}, 400, "BadRequest"),
        (CONFIGMAPS, {"metadata": {"name": "a", "annotations": {"n": 1}}}, 400, "BadRequest"),
        (DEPLOYMENTS, deployment("a", replicas="three"), 400, "BadRequest"),
    ]
    for path, body, code, reason in cases:
        answer, status = await lab.call("POST", path, body)
        assert (answer, status["reason"], status["code"], status["kind"]) == (code, reason, code, "Status"), body


async def test_unreadable_requests(lab: Any) -> None:
    """Broken JSON is 400, an unknown resource 404, a method that does not exist 405, another media type 415."""
    async with lab.http.post(CONFIGMAPS, data=b"{", headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400
    async with lab.http.post(CONFIGMAPS, data=b"{}", headers={"Content-Type": "application/yaml"}) as response:
        assert response.status == 415
    async with lab.http.get("/apis/batch/v1/cronjobs") as response:
        assert response.status == 404
    assert (await lab.call("POST", WEB, {}))[0] == 405


async def test_stale_replace_conflicts(lab: Any) -> None:
    """A PUT with an old resourceVersion is 409 and changes nothing; with another uid too."""
    old = await lab.get(WEB)
    await lab.call("PATCH", WEB, {"spec": {"replicas": 4}}, patch="merge")
    code, status = await lab.call("PUT", WEB, old)
    assert (code, status["reason"]) == (409, "Conflict")
    assert "the object has been modified" in status["message"]
    assert (await lab.get(WEB))["spec"]["replicas"] == 4
    stranger = await lab.get(WEB)
    stranger["metadata"]["uid"] = "another"
    assert (await lab.call("PUT", WEB, stranger))[0] == 409


async def test_invalid_specs(lab: Any) -> None:
    """Negative replicas, a changed selector and requests over limits are 422 and name the field."""
    cases = [
        ({"spec": {"replicas": -1}}, "spec.replicas"),
        ({"spec": {"selector": {"matchLabels": {"app": "other"}}}}, "spec.selector"),
        ({"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}, "spec.template.metadata.labels"),
        ({"spec": {"replicas": "three"}}, "patch"),
        ({"metadata": {"uid": "another"}}, "metadata.uid"),
    ]
    for body, field in cases:
        code, status = await lab.call("PATCH", WEB, body, patch="merge")
        assert (code, status["reason"]) == (422, "Invalid"), body
        assert field in [cause["field"] for cause in status["details"]["causes"]]
    small = {"containers": [{"name": "web-server", "resources": {"limits": {"memory": "1Mi"}}}]}
    code, status = await lab.call("PATCH", WEB, {"spec": {"template": {"spec": small}}}, patch="strategic-merge")
    assert code == 422
    assert "must be less than or equal to memory limit" in status["message"]


async def test_unknown_fields_survive(lab: Any) -> None:
    """Fields that the sandbox does not know are stored and returned verbatim."""
    body = deployment("odd", futureField={"deep": [1, {"x": None}]})
    await lab.call("POST", DEPLOYMENTS, body)
    assert (await lab.get(f"{DEPLOYMENTS}/odd"))["spec"]["futureField"] == {"deep": [1, {"x": None}]}


async def test_generation_and_versions(lab: Any) -> None:
    """The generation counts spec changes only; a change that changes nothing keeps the resourceVersion."""
    before = await lab.get(WEB)
    _, same = await lab.call("PATCH", WEB, {"spec": {"replicas": before["spec"]["replicas"]}}, patch="merge")
    assert same["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    _, labelled = await lab.call("PATCH", WEB, {"metadata": {"labels": {"tier": "front"}}}, patch="merge")
    assert labelled["metadata"]["generation"] == before["metadata"]["generation"]
    assert labelled["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    _, scaled = await lab.call("PATCH", WEB, {"spec": {"replicas": 4}}, patch="merge")
    assert scaled["metadata"]["generation"] == before["metadata"]["generation"] + 1


async def test_status_is_a_part_of_its_own(lab: Any) -> None:
    """A write of the object leaves the status alone; a write of the status leaves the spec alone."""
    _, after = await lab.call("PATCH", WEB, {"status": {"replicas": 99}}, patch="merge")
    assert after["status"]["replicas"] == 3
    body = {"spec": {"unschedulable": True}, "status": {"note": "seen"}}
    _, node = await lab.call("PATCH", "/api/v1/nodes/node-1/status", body, patch="merge")
    assert node["status"]["note"] == "seen"
    assert "unschedulable" not in node["spec"]


@pytest.mark.parametrize(
    ("method", "path", "body", "patch"),
    [
        ("POST", CONFIGMAPS, {"metadata": {"name": "dry"}}, None),
        ("PATCH", WEB, {"spec": {"replicas": 9}}, "merge"),
        ("PATCH", f"{WEB}/scale", {"spec": {"replicas": 9}}, "merge"),
        ("DELETE", WEB, None, None),
        ("POST", "/api/v1/namespaces/production/pods/web-server-123/eviction", {}, None),
        ("DELETE", "/api/v1/namespaces/production/pods/web-server-123", None, None),
    ],
)
async def test_dry_run_changes_nothing(lab: Any, method: str, path: str, body: Any, patch: str | None) -> None:
    """dryRun=All answers like the real write, stores nothing and is marked in the audit."""
    version = lab.sandbox.cluster.store.version
    code, _ = await lab.call(method, path, body, patch=patch, params={"dryRun": "All"})
    assert code in (200, 201)
    assert lab.sandbox.cluster.store.version == version
    assert (await lab.writes())[-1]["dry_run"] is True


async def test_dry_run_validates(lab: Any) -> None:
    """A dry run refuses what a real write would refuse, and a dryRun value that does not exist."""
    code, _ = await lab.call("PATCH", WEB, {"spec": {"replicas": -1}}, patch="merge", params={"dryRun": "All"})
    assert code == 422
    assert (await lab.call("PATCH", WEB, {}, patch="merge", params={"dryRun": "Some"}))[0] == 422


async def test_label_selectors(lab: Any) -> None:
    """Equality and set-based label selectors choose the right pods."""
    cases = {
        "app=web-server": {"web-server"},
        "app in (web-server, postgres)": {"web-server", "postgres"},
        "app notin (web-server,postgres,log-agent,checkout)": {"payments"},
        "app,app!=web-server,!pod-template-hash": {"postgres", "log-agent"},
    }
    for selector, apps in cases.items():
        page = await lab.get(f"/api/v1/namespaces/production/pods?labelSelector={selector}")
        assert {pod["metadata"]["labels"]["app"] for pod in page["items"]} == apps, selector
    assert (await lab.call("GET", "/api/v1/pods?labelSelector=((("))[0] == 400


async def test_field_selectors(lab: Any) -> None:
    """Pods by node and name, events by what they are about; an unknown field is 400."""
    on_node = [pod async for pod in lab.client.list(Pod, namespace="*", fields={"spec.nodeName": "node-1"})]
    assert on_node
    assert {pod.spec.nodeName for pod in on_node} == {"node-1"}
    page = await lab.get("/api/v1/namespaces/production/pods?fieldSelector=metadata.name=web-server-123")
    assert len(page["items"]) == 1
    crashing = next(pod for pod in lab.pods("production", "checkout"))["metadata"]["name"]
    events = [event async for event in lab.client.list(Event, fields={"involvedObject.name": crashing})]
    assert "BackOff" in {event.reason for event in events}
    assert (await lab.call("GET", "/api/v1/pods?fieldSelector=spec.colour=red"))[0] == 400


async def test_lists_come_in_pages(lab: Any) -> None:
    """Pages by limit and continue walk through everything once; lightkube follows them."""
    whole = [pod["metadata"]["name"] for pod in (await lab.get("/api/v1/pods"))["items"]]
    paged = [pod.metadata.name async for pod in lab.client.list(Pod, namespace="*", chunk_size=4)]
    assert paged == whole


async def test_delete_preconditions(lab: Any) -> None:
    """A deletion with another uid or an old resourceVersion is 409 and the object stays."""
    for precondition in ({"uid": "another"}, {"resourceVersion": "1"}):
        code, status = await lab.call("DELETE", WEB, {"preconditions": precondition})
        assert (code, status["reason"]) == (409, "Conflict")
    uid = (await lab.get(WEB))["metadata"]["uid"]
    assert (await lab.call("DELETE", WEB, {"preconditions": {"uid": uid}}))[0] == 200


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_deleting_a_deployment_deletes_its_pods(lab: Any, policy: str) -> None:
    """Replica sets and pods go with their deployment."""
    await lab.call("DELETE", WEB, {"propagationPolicy": policy})
    await lab.until(lambda: not lab.pods("production", "web-server"))
    await lab.until(lambda: lab.sandbox.cluster.store.get("deployments", "production", "web-server") is None)
    page = await lab.get("/apis/apps/v1/namespaces/production/replicasets?labelSelector=app=web-server")
    assert page["items"] == []


async def test_orphans_stay(lab: Any) -> None:
    """The policy Orphan leaves the replica set and its pods, without their owner."""
    await lab.call("DELETE", f"{WEB}?propagationPolicy=Orphan")
    page = await lab.get("/apis/apps/v1/namespaces/production/replicasets?labelSelector=app=web-server")
    assert [item["metadata"]["ownerReferences"] for item in page["items"]] == [[]]
    assert lab.ready("production", "web-server") == 3


async def test_finalizers_hold_an_object(lab: Any) -> None:
    """An object with a finalizer is only marked; it goes when the finalizer does."""
    await lab.call("POST", CONFIGMAPS, {"metadata": {"name": "held", "finalizers": ["a.b/c"]}})
    _, marked = await lab.call("DELETE", f"{CONFIGMAPS}/held")
    assert marked["metadata"]["deletionTimestamp"]
    await lab.call("PATCH", f"{CONFIGMAPS}/held", {"metadata": {"finalizers": None}}, patch="merge")
    assert (await lab.call("GET", f"{CONFIGMAPS}/held"))[0] == 404


async def test_deleting_a_namespace_empties_it(lab: Any) -> None:
    """Everything in a deleted namespace goes with it; system namespaces cannot be deleted."""
    assert (await lab.call("DELETE", "/api/v1/namespaces/staging"))[0] == 200
    await lab.until(lambda: lab.sandbox.cluster.store.get("namespaces", "", "staging") is None)
    assert (await lab.get("/apis/apps/v1/namespaces/staging/deployments"))["items"] == []
    assert (await lab.call("DELETE", "/api/v1/namespaces/kube-system"))[0] == 403


async def test_pods_are_mostly_immutable(lab: Any) -> None:
    """A pod's image may change, its other fields may not."""
    path = "/api/v1/namespaces/production/pods/web-server-123"
    containers = [{"name": "web-server", "image": "registry.local/web-server:1.4.3"}]
    assert (await lab.call("PATCH", path, {"spec": {"containers": containers}}, patch="strategic-merge"))[0] == 200
    code, status = await lab.call("PATCH", path, {"spec": {"nodeName": "node-9"}}, patch="merge")
    assert (code, status["details"]["causes"][0]["field"]) == (422, "spec")


async def test_discovery(lab: Any) -> None:
    """Groups, versions, resources and their subresources are announced."""
    assert (await lab.get("/version"))["gitVersion"].startswith("v1.")
    groups = [group["name"] for group in (await lab.get("/apis"))["groups"]]
    assert groups == [
        "apps",
        "policy",
        "storage.k8s.io",
        "autoscaling",
        "networking.k8s.io",
        "batch",
    ]
    names = {entry["name"] for entry in (await lab.get("/api/v1"))["resources"]}
    assert {"pods", "pods/eviction", "nodes", "events", "namespaces"} <= names
    assert "deployments/scale" in {entry["name"] for entry in (await lab.get("/apis/apps/v1"))["resources"]}
    async with lab.http.get("/apis/apps/v1beta1") as response:
        assert response.status == 404
