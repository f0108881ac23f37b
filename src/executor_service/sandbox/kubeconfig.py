"""The kubeconfig that leads clients to the sandbox."""

import os
import tempfile
from pathlib import Path

import yaml


def write_kubeconfig(path: Path, url: str) -> None:
    """Write a kubeconfig atomically: a reader finds none or a whole one."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": {"server": url}}],
        "users": [{"name": "sandbox", "user": {}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": "default"}}],
        "current-context": "sandbox",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        yaml.safe_dump(config, file, sort_keys=False)
    Path(temporary).replace(path)
