"""What the OpenAPI document says about credentials, and about the answers of the gate."""

from __future__ import annotations

from typing import Any

from workflow_service.api.problems import documented
from workflow_service.domain.permissions import NEEDS, About, Need, Right

SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, or a token"},
    "basic": {"type": "http", "scheme": "basic", "description": "the same as the password; the user is not looked at"},
}
SIGNATURES: dict[str, Any] = {
    "standard-webhooks": {"type": "apiKey", "in": "header", "name": "webhook-signature"},
    "pagerduty": {"type": "apiKey", "in": "header", "name": "X-PagerDuty-Signature"},
}
_UNLISTED = Need(Right.ADMIN, About.SERVICE)


def describe(document: dict[str, Any], *, required: bool, signed: bool) -> None:
    """Add the schemes, and to each operation what it needs and what the gate may answer instead of it.

    `required` False: this service asks nobody, so that no operation needs a credential. `signed`: who brings alerts may
    sign them instead.
    """
    document.setdefault("components", {})["securitySchemes"] = {**SCHEMES, **(SIGNATURES if signed else {})}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            need = NEEDS.get((method.upper(), path), _UNLISTED)
            if need.right is not None:
                schemes = [*SCHEMES, *(SIGNATURES if signed and need.about is About.INTAKE else ())]
                _guard(operation, need, schemes if required else [])


def _guard(operation: dict[str, Any], need: Need, schemes: list[str]) -> None:
    slowed = () if need.about is About.INTAKE else (429,)
    operation["security"] = [{scheme: []} for scheme in schemes]
    operation["x-required-right"] = str(need.right)
    for status, entry in documented(401, 403, 503, *slowed).items():
        operation["responses"].setdefault(str(status), entry)
