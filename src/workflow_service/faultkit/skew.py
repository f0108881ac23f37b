"""Starting a program with a shifted wall clock: by libfaketime, where it is installed; the product has no hook."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

LIBRARY = "libfaketimeMT.so.1"
MISSING = "libfaketime is not installed (Debian: apt install faketime)"


def library() -> Path | None:
    """Where libfaketime is: beside its command, or where distributions put it."""
    command = shutil.which("faketime")
    prefixes = [*([Path(command).parent.parent] if command else []), Path("/usr"), Path("/usr/local")]
    for prefix in prefixes:
        found = next(iter(sorted((prefix / "lib").glob(f"**/faketime/{LIBRARY}"))), None)
        if found is not None:
            return found
    return None


def shifted(library: Path, seconds: int) -> Mapping[str, str]:
    """The environment of a program whose wall clock is so many seconds ahead; its monotonic clock stays true."""
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
