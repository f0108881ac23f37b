"""Writes the copy of the executor's catalogue that comes with workflow-service: templates are checked offline."""

import json
from pathlib import Path

from executor_service.actions.catalogue import Catalogue

PAGE = Path(__file__).parents[1] / "src" / "workflow_service" / "planning" / "known_actions.json"


def render() -> str:
    """Every action of executor-service with its schema, whether or not it is offered in some cluster."""
    lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in Catalogue().entries)
    return '{"digest": "shipped", "actions": [\n' + lines + "\n]}\n"
