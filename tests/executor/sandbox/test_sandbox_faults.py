"""The audit of writes and the scripted faults of the API."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lightkube.resources.apps_v1 import Deployment

WEB = "/apis/apps/v1/namespaces/production/deployments/web-server"


async def test_audit_names_every_write(lab: Any, tmp_path: Path) -> None:
    """Writes, also refused ones, are recorded in order with who, what and how it ended; controllers' writes are not."""
    await lab.client.patch(Deployment, "web-server", {"spec": {"replicas": 4}})
    await lab.call("PATCH", WEB, {"spec": {"replicas": -1}}, patch="merge", headers={"User-Agent": "probe"})
    await lab.call("DELETE", "/api/v1/namespaces/production/pods/nobody")
    await lab.get(WEB)
    await lab.until(lambda: lab.ready("production", "web-server") == 4)
    writes = await lab.writes()
    assert [(write["seq"], write["verb"], write["resource"], write["name"], write["code"]) for write in writes] == [
        (1, "patch", "deployments", "web-server", 200),
        (2, "patch", "deployments", "web-server", 422),
        (3, "delete", "pods", "nobody", 404),
    ]
    first, second, _ = writes
    assert (first["field_manager"], first["patch_type"], first["body"]) == (
        "lab",
        "strategic",
        {"spec": {"replicas": 4}},
    )
    assert (second["user_agent"], second["namespace"], second["dry_run"]) == ("probe", "production", False)
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == writes


async def test_scripted_status(lab: Any) -> None:
    """A scripted status answers as often as told, changes nothing, and strikes only what it matches."""
    match = {"verb": "patch", "resource": "deployments", "name": "web-server"}
    await lab.call("POST", "/sandbox/faults", {"match": match, "status": 503, "times": 2})
    assert (await lab.call("GET", WEB))[0] == 200
    codes = [(await lab.call("PATCH", WEB, {"spec": {"replicas": 4}}, patch="merge"))[0] for _ in range(3)]
    assert codes == [503, 503, 200]
    assert [write["code"] for write in await lab.writes()] == codes
    assert (await lab.get("/sandbox/faults"))["faults"] == []


async def test_dropped_write_takes_effect(lab: Any) -> None:
    """A dropped write is applied and recorded, and the client only sees a broken connection."""
    await lab.call("POST", "/sandbox/faults", {"match": {"verb": "patch"}, "drop": True})
    with pytest.raises(aiohttp.ClientError):
        await lab.call("PATCH", WEB, {"spec": {"replicas": 4}}, patch="merge")
    assert (await lab.get(WEB))["spec"]["replicas"] == 4
    assert [write["code"] for write in await lab.writes()] == [200]


async def test_delay(lab: Any) -> None:
    """A delayed request is answered in the end, and a client that waits less long sees a timeout first."""
    await lab.call("POST", "/sandbox/faults", {"match": {"verb": "get"}, "delay_seconds": 0.3})
    with pytest.raises(TimeoutError):
        await lab.call("GET", WEB, timeout=aiohttp.ClientTimeout(total=0.05))
    assert (await lab.call("GET", WEB))[0] == 200


async def test_faults_can_be_taken_back(lab: Any) -> None:
    """GET lists what is waiting, DELETE drops it."""
    fault = {"match": {"verb": "patch"}, "status": 429, "times": 5, "delay_seconds": 0, "drop": False}
    assert await lab.call("POST", "/sandbox/faults", fault) == (201, fault)
    async with lab.http.patch(WEB, json={}) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
    assert (await lab.get("/sandbox/faults"))["faults"] == [fault | {"times": 4}]
    assert (await lab.call("DELETE", "/sandbox/faults"))[0] == 200
    assert (await lab.call("PATCH", WEB, {}, patch="merge"))[0] == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "object"),
        ({"colour": 1}, "colour"),
        ({"match": {"verbs": "patch"}}, "match.verbs"),
        ({"match": {"verb": 1}}, "match.verb"),
        ({"status": 200}, "status"),
        ({"times": 0}, "times"),
        ({"delay_seconds": "1"}, "delay_seconds"),
        ({"drop": 1}, "drop"),
        ({"drop": True, "status": 500}, "drop"),
    ],
)
async def test_malformed_faults(lab: Any, body: Any, field: str) -> None:
    """A fault that cannot be understood is 400 and names the field."""
    code, status = await lab.call("POST", "/sandbox/faults", body)
    assert code == 400
    assert field in status["message"]


async def test_reset(lab: Any) -> None:
    """A reset brings back the seed, empties audit and faults, and keeps resourceVersions rising."""
    await lab.client.delete(Deployment, "web-server")
    await lab.call("POST", "/sandbox/faults", {"match": {"verb": "delete"}, "status": 500})
    version = lab.sandbox.cluster.store.version
    assert (await lab.call("POST", "/sandbox/reset"))[0] == 200
    assert int((await lab.get(WEB))["metadata"]["resourceVersion"]) > version
    assert lab.ready("production", "web-server") == 3
    assert await lab.writes() == []
    assert (await lab.get("/sandbox/faults"))["faults"] == []
    await lab.client.patch(Deployment, "web-server", {"spec": {"replicas": 4}})
    await lab.until(lambda: lab.ready("production", "web-server") == 4)
