"""Debian's Alertmanager as processes of an HA pair, taken from its package into a cache directory when first needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes import eventually, free_port

PACKAGE = "prometheus-alertmanager"
TEMPLATES = b"/usr/share/prometheus/alertmanager"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "workflow-service" / "alertmanager"


def program() -> Path | str:
    """The program, or why it cannot be had."""
    installed = shutil.which(PACKAGE)
    if installed:
        return Path(installed)
    cached = CACHE / "usr" / "bin" / PACKAGE
    if cached.exists():
        return cached
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        return f"{PACKAGE} is not installed, and there is no apt-get to fetch it with"
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as place:
        fetched = subprocess.run(
            ["apt-get", "download", PACKAGE], cwd=place, capture_output=True, text=True, timeout=120, check=False
        )
        packages = list(Path(place).glob("*.deb"))
        if fetched.returncode or not packages:
            return f"{PACKAGE} is not installed and cannot be fetched: {fetched.stderr.strip()[-200:]}"
        unpacked = Path(place) / "unpacked"
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), str(unpacked)], timeout=120, check=True)
        _relocate(unpacked / "usr" / "bin" / PACKAGE)
        if not cached.exists():
            unpacked.rename(CACHE)
    return cached


def _relocate(binary: Path) -> None:
    """Let it find its templates in the directory where it is started; built in is where Debian installs them."""
    code = binary.read_bytes()
    binary.write_bytes(code.replace(TEMPLATES, b"./" * (len(TEMPLATES) // 2) + b"/" * (len(TEMPLATES) % 2)))


class Alertmanager:
    """One of a pair. Every group is sent to `webhook`, again every few seconds, and once more when it has resolved."""

    def __init__(self, binary: Path, directory: Path, *, webhook: str, group_by: Sequence[str]) -> None:
        directory.mkdir()
        self.url, self.peer = f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self._binary, self._directory = binary, directory
        self._process: subprocess.Popen[bytes] | None = None
        hook = {"url": webhook, "send_resolved": True}
        route = {"receiver": "hook", "group_by": list(group_by), "group_wait": "1s", "group_interval": "1s"}
        config = {
            "route": {**route, "repeat_interval": "3s"},
            "receivers": [{"name": "hook", "webhook_configs": [hook]}],
        }
        (directory / "alertmanager.yml").write_text(json.dumps(config))  # JSON is YAML

    def start(self, other: Alertmanager) -> None:
        """Start it as a peer of the other, and wait until it answers."""
        arguments = {
            "config.file": self._directory / "alertmanager.yml",
            "storage.path": self._directory / "data",
            "web.listen-address": self.url.removeprefix("http://"),
            "cluster.listen-address": self.peer,
            "cluster.advertise-address": self.peer,
            "cluster.peer": other.peer,
            "cluster.peer-timeout": "1s",  # how long the second waits for the first's notification
            "cluster.settle-timeout": "2s",
            "cluster.gossip-interval": "50ms",
            "cluster.reconnect-interval": "1s",
        }
        with (self._directory / "log").open("ab") as output:
            self._process = subprocess.Popen(
                [str(self._binary), *(f"--{name}={value}" for name, value in arguments.items())],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=CACHE / TEMPLATES.decode().lstrip("/") if self._binary.is_relative_to(CACHE) else None,
            )
        eventually(lambda: self._status() is not None, "Alertmanager answers")

    def in_pair(self) -> bool:
        """Whether it has found its peer and takes its turn."""
        found = self._status() or {}
        return found.get("status") == "ready" and len(found.get("peers", [])) == 2

    def tell(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Alerts as Prometheus sends them."""
        answer = httpx2.post(f"{self.url}/api/v2/alerts", json=list(alerts), timeout=10)
        assert answer.status_code == 200, answer.text

    def kill(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """The end of what it printed."""
        return (self._directory / "log").read_text(errors="replace")[-3000:]

    def _status(self) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return dict(httpx2.get(f"{self.url}/api/v2/status", timeout=2).json()["cluster"])
        except httpx2.HTTPError:
            return None
