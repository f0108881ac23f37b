"""What the OpenAPI document says about credentials, and about the answers of the gate."""

from __future__ import annotations

from typing import Any

from workflow_service.api.problems import documented
from workflow_service.domain.permissions import NEEDS, About, Need, Right

SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, or a token"},
    "basic": {"type": "http", "scheme": "basic", "description": "the same as the password; the user is not looked at"},
}
_UNLISTED = Need(Right.ADMIN, About.SERVICE)


def describe(document: dict[str, Any], *, required: bool) -> None:
    """Add the schemes, and to each operation what it needs and what the gate may answer instead of it.

    `required` False: this service asks nobody, so that no operation needs a credential.
    """
    document.setdefault("components", {})["securitySchemes"] = SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            need = NEEDS.get((method.upper(), path), _UNLISTED)
            if need.right is not None:
                _guard(operation, need, required=required)


def _guard(operation: dict[str, Any], need: Need, *, required: bool) -> None:
    slowed = () if need.about is About.INTAKE else (429,)
    operation["security"] = [{scheme: []} for scheme in SCHEMES] if required else []
    operation["x-required-right"] = str(need.right)
    for status, entry in documented(401, 403, 503, *slowed).items():
        operation["responses"].setdefault(str(status), entry)
