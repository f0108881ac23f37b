"""The OpenAPI document: what FastAPI makes of the routes, and what our middleware and readers add to it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from workflow_service.api import creating, idempotent, problems, schemas, security, selecting
from workflow_service.api.alerts import AlertmanagerAlertIn
from workflow_service.api.gate import Access

COMPONENTS = (
    problems.Problem,
    schemas.AlertIn,
    AlertmanagerAlertIn,
    creating.NewWorkflowIn,
    creating.NewOrderIn,
)  # referred to by name, not by a route's model


def install(app: FastAPI, access: Access) -> None:
    """Let `app` serve it."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:  # FastAPI makes it once, too
            app.openapi_schema = _completed(made(), access)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any], access: Access) -> dict[str, Any]:
    known = document.setdefault("components", {}).setdefault("schemas", {})
    for model in COMPONENTS:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        known.update(schema.pop("$defs", {}))
        known[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # we answer 400 for what FastAPI calls 422
    selecting.describe(document)
    idempotent.describe(document)
    security.describe(document, required=access.authenticator is not None, signed=bool(access.webhook_secrets()))
    return document
