"""Writes the JSON Schema of templates, for editors and for whoever wants to pin it."""

import json
from pathlib import Path

from workflow_service.planning.template_schema import SCHEMA

PAGE = Path(__file__).parent / "schemas" / "workflowtemplate-v1alpha1.json"


def render() -> str:
    """The whole schema."""
    return json.dumps(SCHEMA, indent=2) + "\n"
