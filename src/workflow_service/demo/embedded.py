"""Sandbox cluster, executor and workflow-service as three processes on loopback, started in order, ended by pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START = 60.0  # seconds that a process may take until it answers
STOP = 35.0  # seconds that it may take to end


class NotStarted(Exception):
    """A process did not come up; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Started:
    """One of the processes, and its log."""

    process: subprocess.Popen[bytes]
    log: Path


@dataclass(frozen=True, slots=True)
class Embedded:
    """Where everything is, and what it runs in."""

    workflow_url: str
    executor_url: str
    cluster_url: str
    logs: Path
    processes: tuple[Started, ...]


@contextmanager
def running(directory: Path, *, ports: tuple[int, int] | None = None) -> Iterator[Embedded]:
    """Everything up, with state and logs under `directory`; on the way out everything is ended again.

    `ports` are workflow-service's and the executor's; free ones are taken without it.

    Raises:
        NotStarted: a process did not come up.
    """
    for port in ports or ():
        _expect_free(port)  # or whoever is there would be taken for ours
    workflow_port, executor_port = ports or (_free_port(), _free_port())
    cluster_port, kubeconfig = _free_port(), directory / "kubeconfig"
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        cluster = f"http://127.0.0.1:{cluster_port}"
        sandbox = ["sandbox", "--port", str(cluster_port), "--kubeconfig", str(kubeconfig)]
        log = directory / "sandbox.log"
        first = stack.enter_context(_process("executor_service", sandbox, {}, log=log, ready=f"{cluster}/version"))
        executor = {
            "EXECUTOR_SERVICE_PORT": str(executor_port),
            "KUBECONFIG": str(kubeconfig),
            "DATA_DIR": str(directory / "executor"),
        }
        log = directory / "executor-service.log"
        ready = f"http://127.0.0.1:{executor_port}/readyz"
        second = stack.enter_context(_process("executor_service", [], executor, log=log, ready=ready))
        service = {
            "WORKFLOW_SERVICE_PORT": str(workflow_port),
            "EXECUTOR_SERVICE_URL": f"http://127.0.0.1:{executor_port}",
            "DATA_DIR": str(directory / "workflow"),
        }
        log = directory / "workflow-service.log"
        ready = f"http://127.0.0.1:{workflow_port}/readyz"
        third = stack.enter_context(_process("workflow_service", [], service, log=log, ready=ready))
        yield Embedded(
            workflow_url=f"http://127.0.0.1:{workflow_port}",
            executor_url=f"http://127.0.0.1:{executor_port}",
            cluster_url=cluster,
            logs=directory,
            processes=(first, second, third),
        )


def serve(data_dir: Path | None, *, ports: tuple[int, int] = (8083, 8084)) -> int:
    """Keep everything up on these ports until Ctrl-C or SIGTERM, or until a part ends; the process's exit code."""
    with ExitStack() as stack:
        directory = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workflow-service-")))
        try:
            embedded = stack.enter_context(running(directory, ports=ports))
        except NotStarted as error:
            print(f"cannot start: {error}", file=sys.stderr)
            return 1
        print(f"workflow-service  {embedded.workflow_url}")
        print(f"executor-service  {embedded.executor_url}")
        print(f"sandbox cluster   {embedded.cluster_url}   (kubeconfig: {directory / 'kubeconfig'})")
        print(f"logs              {directory}/*.log")
        print("Ctrl-C ends everything.", flush=True)
        return _until_told(embedded)


def _until_told(embedded: Embedded) -> int:
    """Wait for Ctrl-C or SIGTERM, or for the end of a process that nobody has asked for."""
    awaited = {signal.SIGINT, signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    while True:
        for started in embedded.processes:
            if started.process.poll() is not None:
                print(f"ended by itself, so all ends; its log: {started.log}", file=sys.stderr)
                return 1
        if signal.sigwait(awaited) is not signal.SIGCHLD:
            return 0


def call(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """One JSON request: status and document."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - loopback addresses of our own making
        url, data=data, method=method, headers={"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310 - see above
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@contextmanager
def _process(
    module: str, arguments: list[str], environment: Mapping[str, str], *, log: Path, ready: str
) -> Iterator[Started]:
    """One process, from the moment that `ready` answers until the end of the block."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251 - handed on, not read
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, "-m", module, *arguments],
            env={**inherited, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; the children are ended in order
        )
        try:
            _until_answers(ready, process, log)
            yield Started(process, log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _until_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - a loopback address of our own making
                return
        except OSError:
            time.sleep(0.05)
    raise NotStarted(f"{url} does not answer\n{log.read_text(errors='replace')[-2000:]}")


def _expect_free(port: int) -> None:
    """Raises NotStarted: somebody listens there already."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            pass
    except OSError as error:
        raise NotStarted(f"port {port} of 127.0.0.1 is not free: {error.strerror}") from None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
