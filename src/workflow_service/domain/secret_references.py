"""Secret references (`{secretRef: {name, key}}`) in values: where one is, as only a rule or template may write it."""

from __future__ import annotations

from collections.abc import Mapping

REFERENCE = "secretRef"
FILE_ONLY = "must not hold a secretRef: only the text of a rule or a template says which secret is used"


def holds_secret(value: object) -> bool:
    """Whether a secret reference is anywhere in a value; of a JSON Schema, whether it has a place for one."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, Mapping):
            if REFERENCE in found:
                return True
            left.extend(found.values())
        elif isinstance(found, list | tuple):
            left.extend(found)
    return False
