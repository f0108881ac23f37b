"""Kubernetes quantities: `250m`, `512Mi`, `1e3`, as exact numbers and in the API server's own spelling."""

import math
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
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = ("m", "", "k", "M", "G", "T", "P", "E")
_EXPONENTS = ("e-3", "", "e3", "e6", "e9", "e12", "e15", "e18")


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


def canonical(text: object) -> str:
    """The quantity as the API server stores it: `1024Mi` is `1Gi`, `0.5` is `500m`, and nothing is finer than `1m`.

    Raises ValueError as `parse_quantity` does.
    """
    number = parse_quantity(text)
    suffix = str(text).lstrip("+-.0123456789")
    binary = suffix.endswith("i") and abs(number) >= 1024
    base, names = (
        (1024, _BINARY) if binary else (1000, _EXPONENTS if suffix[:1] in ("e", "E") and suffix[1:] else _DECIMAL)
    )
    value = math.ceil(number if binary else number * 1000)
    if not value:
        return "0"
    steps = 0
    while value % base == 0 and steps < len(names) - 1:
        value, steps = value // base, steps + 1
    return f"{value}{names[steps]}"
