"""Kubernetes quantities: `250m`, `512Mi`, `1e3`, as exact numbers."""

import re
from decimal import Decimal

_PATTERN = re.compile(r"(?P<number>[+-]?(\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def parse_quantity(text: object) -> Decimal:
    """The number a quantity stands for. Raises ValueError for anything the API server would refuse."""
    found = (
        _PATTERN.fullmatch(str(text)) if isinstance(text, str | int | float) and not isinstance(text, bool) else None
    )
    if found is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    suffix = found["suffix"] or ""
    scale = _SUFFIXES.get(suffix)
    return Decimal(found["number"]) * (Decimal(f"1{suffix}") if scale is None else scale)
