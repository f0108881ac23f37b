"""The whole stack with a wire between its two services, rules for the tests, and executors that lose their ledger."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Self

import yaml

from tests.support.processes import Stack, eventually
from tests.support.wire import Wire

RESTART = {"namespace": "{namespace}", "resource_name": "{name}", "resource_type": "deployment"}
SCALE = {"namespace": "{namespace}", "resource_name": "{name}", "replicas": 2}
NOBODY = {"namespace": "{namespace}", "resource_name": "nobody", "replicas": 2}
RULES: dict[str, list[dict[str, Any]]] = {
    "restart": [{"id": "cure", "type": "restart_pod", "on": "target", "parameters": RESTART}],
    "hasty": [{"id": "cure", "type": "restart_pod", "on": "target", "parameters": RESTART, "timeout": 2}],
    "brief": [{"id": "cure", "type": "restart_pod", "on": "target", "parameters": RESTART, "timeout": 6}],
    "scale": [{"id": "cure", "type": "scale_deployment", "on": "target", "parameters": SCALE, "timeout": 3}],
    "vain": [
        {"id": "cure", "type": "scale_deployment", "on": "target", "parameters": SCALE},
        {"id": "fail", "type": "scale_deployment", "on": "target", "parameters": NOBODY, "needs": ["cure"]},
    ],
}


class Bench(Stack):
    """A stack whose workflow-service reaches the executor over a wire."""

    def __init__(self, directory: Path, wire: Wire, **settings: str) -> None:
        rules = [
            {"name": name, "when": {"name_keywords": [name]}, "reason": "the test says so", "actions": actions}
            for name, actions in RULES.items()
        ]
        (directory / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": rules}), "utf-8")
        super().__init__(
            directory,
            EXECUTOR_SERVICE_URL=wire.url,
            RULES_FILE=str(directory / "rules.yaml"),
            LEASE_TTL="1s",
            **settings,
        )
        self.wire, self._ledger, self._number = wire, directory / "executor", 0
        wire.target = self.executor.port

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def begin(self, rule: str, name: str | None = None) -> tuple[str, str]:
        """A workflow by that rule about a deployment, a new one unless named; its id, and the deployment's name."""
        self._number += 1
        if name is None:
            name = f"{rule}-{self._number}"
            self.add_deployments("production", [name])
        alert = {"name": rule, "severity": "critical", "namespace": "production", "resource": f"deployment/{name}"}
        answer = self.execute(alert, prefer="respond-async")
        assert answer.status_code in {200, 202}, answer.text
        return str(answer.json()["result"]["workflow_id"]), name

    def too_large(self) -> str:
        """A deployment whose pods fit on no node, so that nobody sees more of them get ready."""
        self.add_deployments("production", ["large"])
        container = {"name": "main", "resources": {"requests": {"cpu": "1000"}}}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        answer = self.http.patch(
            f"{self.sandbox.url}/apis/apps/v1/namespaces/production/deployments/large",
            json=patch,
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        assert answer.status_code == 200, answer.text
        return "large"

    def ended(self, workflow_id: str) -> dict[str, Any]:  # type: ignore[override]  # of one workflow, not of so many
        """The workflow once it is over."""
        eventually(lambda: self.workflow_detail(workflow_id)["ended_at"], "the workflow ends")
        return self.workflow_detail(workflow_id)

    def command(self, workflow_id: str, verb: str, **body: Any) -> None:
        """Tell a workflow what to do."""
        answer = self.http.post(f"{self.workflow.url}/api/v1/workflows/{workflow_id}/{verb}", json=body)
        assert answer.status_code in {200, 202}, answer.text

    def changes(self, name: str) -> int:
        """How often the cluster has accepted a change of that deployment."""
        return sum(write["resource"] == "deployments" and write["name"] == name for write in self.effects())

    def other_ledger(self) -> Path:
        """The executor comes back with an empty ledger; where the old one is kept."""
        self.executor.kill()
        self._number += 1
        kept = self._ledger.with_name(f"ledger-{self._number}")
        self._ledger.rename(kept)
        self.executor.start("/readyz")
        return kept

    def old_ledger(self, kept: Path) -> None:
        """The executor comes back with a ledger that was kept."""
        self.executor.kill()
        shutil.rmtree(self._ledger)
        kept.rename(self._ledger)
        self.executor.start("/readyz")

    def restart(self) -> None:
        """Kill -9 of the workflow-service, and its return."""
        self.workflow.kill()
        self.workflow.start("/readyz")


def step(found: dict[str, Any], name: str = "cure") -> dict[str, Any]:
    """One step of a workflow."""
    return next(one for one in found["result"]["execution_details"]["steps"] if one["id"] == name)
