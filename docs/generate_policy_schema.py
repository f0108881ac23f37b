"""docs/guardrails.schema.json: the JSON Schema of the policy file, for editors and for checks before a deployment."""

from __future__ import annotations

import json
from pathlib import Path

from workflow_service.planning.policy_format import schema

PAGE = Path(__file__).with_name("guardrails.schema.json")


def render() -> str:
    """The file."""
    return json.dumps(schema(), indent=2) + "\n"
