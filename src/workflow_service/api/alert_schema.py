"""What an alert may look like, for OpenAPI: what `domain.alert` takes, and nothing that it refuses.

Written by hand: alerts are read leniently, by no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_service.domain.alert import MAX_LABEL_NAME, MAX_LABEL_VALUE, MAX_LABELS, MAX_TEXT

_NO_NUL = r"^[^\x00]*$"
_NAME = r"^[^\x00]*[^\s\x00][^\x00]*$"
EXTRA = {"$ref": "#/components/schemas/Extra"}


def _text(longest: int, **more: Any) -> dict[str, Any]:
    return {"type": ["string", "null"], "pattern": _NO_NUL, "maxLength": longest, **more}


def _words(longest: int) -> dict[str, Any]:
    words = {
        "type": "object",
        "maxProperties": MAX_LABELS,
        "propertyNames": {"pattern": _NO_NUL, "maxLength": MAX_LABEL_NAME},
        "additionalProperties": _text(longest),
    }
    return {"anyOf": [words, {"type": "null"}, {"const": ""}]}


_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}, {"const": ""}]}
_OPEN = {"propertyNames": {"pattern": _NO_NUL, "maxLength": MAX_TEXT}, "additionalProperties": EXTRA}

SCHEMAS: Mapping[str, dict[str, Any]] = {
    "AlertIn": {
        "title": "AlertIn",
        "description": "A processed alert. Empty strings, nulls and Go's zero time count as absent; unknown fields are "
        "kept.",
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": _NAME, "maxLength": 256},
            "severity": _text(64),
            "status": {"enum": ["firing", "resolved", "", None], "description": "missing: it fires"},
            "namespace": _text(253),
            "resource": _text(512, description="kind/name"),
            "summary": _text(MAX_TEXT),
            "description": _text(MAX_TEXT),
            "labels": _words(MAX_LABEL_VALUE),
            "annotations": _words(MAX_TEXT),
            "starts_at": _MOMENT,
            "ends_at": _MOMENT,
            "updated_at": _MOMENT,
            "id": _text(256),
        },
        **_OPEN,
    },
    "Extra": {
        "title": "Extra",
        "description": "What nobody here knows is kept as it comes, so a database must be able to carry it.",
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"type": "number", "minimum": -(2**63), "maximum": 2**63 - 1},
            {"type": "string", "pattern": _NO_NUL, "maxLength": MAX_TEXT},
            {"type": "array", "items": EXTRA},
            {"type": "object", **_OPEN},
        ],
    },
}
