"""Starting and stopping a sandbox: as a process of its own, or inside a test."""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from executor_service.sandbox.cluster import Cluster
from executor_service.sandbox.kubeconfig import write_kubeconfig
from executor_service.sandbox.routes import application

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox that serves."""

    port: int
    cluster: Cluster
    _runner: web.AppRunner

    @property
    def url(self) -> str:
        """Where the Kubernetes API is."""
        return f"http://{_HOST}:{self.port}"

    async def stop(self) -> None:
        """End the watches, close the connections, stop the controllers."""
        await self._runner.cleanup()
        self.cluster.close()


async def start(
    port: int = 0, kubeconfig: Path | None = None, *, audit_file: Path | None = None, speed: float = 1.0
) -> Sandbox:
    """Serve a freshly seeded cluster on loopback; the kubeconfig is written once the server listens.

    `port` 0 takes a free one; `speed` divides the controllers' delays. Raises OSError when the port is taken or a file
    cannot be written.
    """
    cluster = Cluster(speed=speed, audit_file=audit_file)
    cluster.start(asyncio.get_running_loop())
    runner = web.AppRunner(application(cluster), access_log=None, shutdown_timeout=2.0, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, _HOST, port).start()
        sandbox = Sandbox(int(runner.addresses[0][1]), cluster, runner)
        if kubeconfig is not None:
            write_kubeconfig(kubeconfig, sandbox.url)
    except OSError:
        await runner.cleanup()
        cluster.close()
        raise
    return sandbox


def run(port: int, kubeconfig: Path | None, audit_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT. Prints one JSON line, `{"ready": true, "port": N}`, once it serves.

    Raises OSError as `start` does.
    """
    asyncio.run(_serve(port, kubeconfig, audit_file))


async def _serve(port: int, kubeconfig: Path | None, audit_file: Path | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    sandbox = await start(port, kubeconfig, audit_file=audit_file)
    try:
        sys.stdout.write(json.dumps({"ready": True, "port": sandbox.port}) + "\n")
        sys.stdout.flush()
        await stopping.wait()
    finally:
        await sandbox.stop()
