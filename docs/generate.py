"""Write the generated documents, or with --check tell which are stale."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, its package is not on the path

from docs import (
    generate_actions,
    generate_known_actions,
    generate_policy_schema,
    generate_rbac,
    generate_requirements,
    generate_runbooks,
    generate_settings,
    generate_states,
    generate_template_schema,
)

PAGES = (
    generate_actions,
    generate_known_actions,
    generate_policy_schema,
    generate_rbac,
    generate_requirements,
    generate_runbooks,
    generate_settings,
    generate_states,
    generate_template_schema,
)


def main() -> int:
    """The exit code: 1 when --check finds a stale page."""
    stale = [module for module in PAGES if module.PAGE.read_text(encoding="utf-8") != module.render()]
    if "--check" in sys.argv:
        for module in stale:
            print(f"{module.PAGE.name} is stale: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for module in stale:
        module.PAGE.write_text(module.render(), encoding="utf-8")
        print(f"{module.PAGE.name} written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
