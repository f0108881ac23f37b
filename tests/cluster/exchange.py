"""What an exchange is: a single request, and the answer that any Kubernetes API server must give."""

from dataclasses import dataclass, field
from typing import Any

DEPLOYMENTS = "/apis/apps/v1/namespaces/{ns}/deployments"
WEB = f"{DEPLOYMENTS}/web"
SET = "/apis/apps/v1/namespaces/{ns}/statefulsets/db"
PODS = "/api/v1/namespaces/{ns}/pods"
POD = f"{PODS}/db-0"
OTHER_UID = "00000000-1111-2222-3333-444444444444"
CONTAINER = "/spec/template/spec/containers/0"
DRY = {"dryRun": "All"}


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
