"""Restate for the comparison: its server from npm, its SDK from PyPI, kept under `.bench/`, never part of the product.

The server's platform package is taken as it is, without its wrapper and that one's install script.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

SERVER, SDK, HTTP2 = "1.7.12", "restate-sdk==1.3.0", "hypercorn==0.18.0"
HOME = Path(__file__).resolve().parent.parent / ".bench"
BINARY = HOME / f"restate-{SERVER}" / "package" / "bin" / "restate-server"
PACKAGES = HOME / "python"
WITHIN = 120  # seconds for one download


class NotToBeHad(Exception):
    """Restate cannot be measured here; the message says why."""


def fetch() -> None:
    """Have server and SDK, downloading what is missing.

    Raises:
        NotToBeHad: one of them cannot be had.
    """
    if sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}:
        raise NotToBeHad(f"no server for {sys.platform} {platform.machine()} is looked for")
    if not BINARY.exists():
        _fetch_server()
    if not (PACKAGES / "restate").exists():
        uv = Path(sys.executable).parent / "uv"
        _run([str(uv), "pip", "install", "--quiet", "--target", str(PACKAGES), SDK, HTTP2], cwd=HOME)


def _fetch_server() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotToBeHad("npm is not installed")
    machine = {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
    directory = BINARY.parent.parent.parent
    directory.mkdir(parents=True, exist_ok=True)
    _run([npm, "pack", f"@restatedev/restate-server-linux-{machine}@{SERVER}"], cwd=directory)
    (archive,) = directory.glob("*.tgz")
    with tarfile.open(archive) as packed:
        binary = packed.extractfile(str(BINARY.relative_to(directory)))  # nothing else of it is wanted
        if binary is None:
            raise NotToBeHad(f"{archive.name} has no server in it")
        BINARY.parent.mkdir(parents=True, exist_ok=True)
        with BINARY.open("wb") as file:
            shutil.copyfileobj(binary, file)
    BINARY.chmod(0o755)
    archive.unlink()


def _run(command: list[str], *, cwd: Path) -> None:
    cwd.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=WITHIN, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotToBeHad(f"{Path(command[0]).name} took more than {WITHIN} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise NotToBeHad(f"{Path(command[0]).name} failed: {last}")


def environment() -> dict[str, str]:
    """The environment of a process that imports the SDK."""
    return {**os.environ, "PYTHONPATH": str(PACKAGES)}
