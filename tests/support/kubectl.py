"""Kubernetes' own command line as a pair of eyes: what it reads is what people see."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.kube import Kube, Object, Server

_SECONDS = 30.0


class Kubectl(Kube):
    """Reads through `kubectl get --raw`, one process per question. It writes nothing."""

    def __init__(self, program: Path, kubeconfig: Path, server: Server, *, older: dict[str, str]) -> None:
        super().__init__(server, older=older)
        self._command = (str(program), "--kubeconfig", str(kubeconfig), "get", "--raw")

    def call(
        self, method: str, path: str, body: Any = None, *, patch: str = "", **query: str
    ) -> tuple[int, dict[str, Any]]:
        """One look; what is not there is 404. Fails with what kubectl says about anything else."""
        assert (method, body, patch) == ("GET", None, ""), f"{method} {path}: eyes do not write"
        asked = f"{path}?{urlencode(query)}" if query else path
        done = subprocess.run([*self._command, asked], capture_output=True, text=True, timeout=_SECONDS, check=False)
        if done.returncode == 0:
            found: Object = json.loads(done.stdout)
            return 200, found
        assert "(NotFound)" in done.stderr, done.stderr
        return 404, {}
