"""The tool that holds the OpenAPI document against what the service answers."""

from __future__ import annotations

import sys
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "contract" / "schemathesis.toml"
EXAMPLES = 8  # per operation, beside those of the coverage phase


def command_of(url: str, *arguments: str) -> list[str]:
    """The command that makes up requests to the service there, with all checks on."""
    return [
        *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(CONFIG)),
        *("run", f"{url}/openapi.json", "--no-color", "--no-shrink", "--seed", "1"),
        *("--checks", "all", "--max-examples", str(EXAMPLES), *arguments),
    ]
