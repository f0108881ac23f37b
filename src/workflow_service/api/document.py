"""The OpenAPI document: what FastAPI makes of the routes, and what our middleware and readers add to it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from workflow_service.api import (
    command_bodies,
    creating,
    events,
    idempotent,
    observing,
    problems,
    readable,
    security,
    selecting,
    simulating,
)
from workflow_service.api.alert_schema import EXTRA, SCHEMAS
from workflow_service.api.alerts import AlertmanagerAlertIn
from workflow_service.api.gate import Access

COMPONENTS = (
    problems.Problem,
    AlertmanagerAlertIn,
    creating.NewOrderIn,
    events.Streamed,
    events.AboutTheStream,
)  # referred to by name, not by a route's model


def install(app: FastAPI, access: Access) -> None:
    """Let `app` serve it."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:  # FastAPI makes it once, too
            app.openapi_schema = _completed(made(), access)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way


def _completed(document: dict[str, Any], access: Access) -> dict[str, Any]:
    known = document.setdefault("components", {}).setdefault("schemas", {})
    for model in COMPONENTS:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        known.update(schema.pop("$defs", {}))
        known[model.__name__] = schema
    known.update({**SCHEMAS, **creating.SCHEMAS, **events.SCHEMAS, **simulating.SCHEMAS})
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    for path in document["paths"].values():
        for operation in path.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]  # we answer 400 for what FastAPI calls 422
    command_bodies.describe(known, EXTRA)
    selecting.describe(document)
    readable.describe(document)
    idempotent.describe(document)
    security.describe(document, required=access.authenticator is not None, signed=bool(access.webhook_secrets()))
    observing.describe(document)
    return document
