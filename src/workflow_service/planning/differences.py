"""What differs between two texts of a template, for people."""

from __future__ import annotations

import difflib

MOST = 60  # lines that are shown


def difference(before: str, after: str) -> list[str]:
    """The changed lines with one line around them, cut where there are many."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", n=1, lineterm=""))
    return lines if len(lines) <= MOST else [*lines[:MOST], f"... and {len(lines) - MOST} lines more"]
