"""Two replicas on one database, as processes, with executor and cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes import Program, Stack, eventually, free_port


class Two(Stack):
    """A stack with two replicas. Alerts go to the first, which so owns what it admits; commands go to the second."""

    def __init__(self, directory: Path, database_url: str, **environment: str) -> None:
        super().__init__(directory, database_url=database_url, LEASE_TTL="1s", **environment)
        port = free_port()
        given = {**self.workflow._environment, "WORKFLOW_SERVICE_PORT": str(port)}
        self.other = Program("workflow_service", port=port, log=directory / "other.log", environment=given)

    def __enter__(self) -> Two:
        super().__enter__()
        self.other.start("/readyz")
        return self

    def __exit__(self, *error: object) -> None:
        self.other.kill()
        super().__exit__(None, None, None)

    def fault(self, name: str, **more: Any) -> None:
        """Something is wrong with the next patches of that deployment."""
        match = {"verb": "patch", "resource": "deployments", "name": name}
        answer = self.http.post(f"{self.sandbox.url}/sandbox/faults", json={"match": match, **more})
        assert answer.status_code < 300, answer.text

    def clear(self) -> None:
        """All is well with the cluster."""
        self.http.delete(f"{self.sandbox.url}/sandbox/faults")

    def begin(self, name: str) -> str:
        """A workflow that scales a deployment of its own from 1 to 2."""
        self.add_deployments("staging", [name])
        return str(self.execute(about(name), prefer="respond-async").json()["result"]["workflow_id"])

    def tell(self, workflow_id: str, verb: str, **body: Any) -> httpx2.Response:
        """Tell the second replica what to do."""
        url = f"{self.other.url}/api/v1/workflows/{workflow_id}/{verb}"
        return self.http.post(url, json=body, headers={"X-Service-Name": "ana"})

    def seen(self, workflow_id: str) -> dict[str, Any]:
        """The workflow as the second replica shows it."""
        answer = self.http.get(f"{self.other.url}/api/v1/workflows/{workflow_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(self, workflow_id: str, *wanted: str) -> dict[str, Any]:
        """The workflow in one of these statuses."""
        return (
            eventually(
                lambda: found if (found := self.seen(workflow_id))["status"] in wanted else None,
                f"{workflow_id} is {' or '.join(wanted)}",
            )
            or {}
        )

    def scaling(self, workflow_id: str, status: str) -> None:
        """Wait until the scaling step has that status."""

        def look() -> bool:
            steps = self.seen(workflow_id)["result"]["execution_details"]["steps"]
            return any((step["id"], step["status"]) == ("scale", status) for step in steps)

        eventually(look, f"the scaling step is {status}")

    def changes(self, name: str) -> list[int]:
        """The numbers of replicas that the cluster was told, one after the other."""
        return [
            write["code"] for write in self.effects() if (write["resource"], write["name"]) == ("deployments", name)
        ]

    def replicas(self, name: str) -> int:
        """What the cluster has."""
        return int(self.deployment("staging", name)["spec"]["replicas"])


def about(name: str) -> dict[str, str]:
    """An alert."""
    return {"name": "HighCPUUsage", "severity": "high", "namespace": "staging", "resource": f"deployment/{name}"}
