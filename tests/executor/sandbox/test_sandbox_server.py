"""The sandbox as a process of its own."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import AsyncClient, KubeConfig
from lightkube.resources.apps_v1 import Deployment

PROGRAM = """
import sys
from pathlib import Path
from executor_service.sandbox.server import run
run(0, Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_process_serves_and_ends(tmp_path: Path, number: signal.Signals) -> None:
    """It says where it serves, writes a kubeconfig that leads there, records writes at once, and ends 0 on a signal."""
    kubeconfig, audit = tmp_path / "new" / "kubeconfig", tmp_path / "audit.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(kubeconfig), str(audit), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        ready = json.loads(await process.stdout.readline())
        assert ready["ready"] is True
        server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        assert server == f"http://127.0.0.1:{ready['port']}"
        client = AsyncClient(config=KubeConfig.from_file(kubeconfig), namespace="production")
        await client.patch(Deployment, "web-server", {"spec": {"replicas": 4}})
        assert json.loads(audit.read_text())["name"] == "web-server"
        await client.close()
        process.send_signal(number)
        assert await process.wait() == 0


async def test_a_taken_port_is_an_error(lab: Any) -> None:
    """A port that is in use raises OSError before any kubeconfig is written."""
    from executor_service.sandbox.server import start

    with pytest.raises(OSError, match="address already in use"):
        await start(lab.sandbox.port)
