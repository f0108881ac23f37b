"""One program of the product as a process of its own: started, frozen, thawed and killed by its pid."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

START = 60.0  # seconds that a program may take until it answers
LOOK = 0.05  # seconds between looks at one that starts
TRIES = 3  # starts, as somebody else may take the chosen port first
SHOWN = 2000  # characters of its log that an error quotes


class NotStarted(Exception):
    """Something that the fault kit needs did not come up; the message says what and why."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class Program:
    """One program. Every start takes a fresh port: between a kill and a start somebody else may take the old one."""

    def __init__(
        self, module: str, *, log: Path, environment: Mapping[str, str], ready: str, arguments: Sequence[str] = ()
    ) -> None:
        """`{port}` in `environment` and `arguments` becomes the port; `ready` is the path that answers 200 when up."""
        self._module, self._ready, self._arguments = module, ready, arguments
        self._environment, self.log = environment, log
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""
        self.wanted = False  # whether it should be running: one that is not and should be has ended by itself
        self._changing = asyncio.Lock()  # who starts it and who kills it take turns

    @property
    def running(self) -> bool:
        """Whether its process is there, frozen or not."""
        return self._process is not None and self._process.returncode is None

    async def start(self, **environment: str) -> None:
        """Start it, with more `environment` for this time, and wait until it answers.

        Raises:
            NotStarted: it ended, or did not answer in time.
        """
        async with self._changing:
            for _ in range(TRIES):
                await self._launch(environment)
                if await self._answers():
                    self.wanted = True
                    return
                await self._end()
        raise NotStarted(f"{self.log.stem} did not start; its log ends with\n{self.log_end()}")

    async def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        async with self._changing:
            await self._end()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing and answers nobody until it is thawed."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on as if no time had passed."""
        self._signal(signal.SIGCONT)

    def log_end(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-SHOWN:] if self.log.exists() else ""

    async def _launch(self, environment: Mapping[str, str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                *(word.format(port=port) for word in self._arguments),
                env=_environment({**self._environment, **environment}, port),
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for the fault kit; it ends its children itself
            )

    async def _end(self) -> None:
        self.wanted = False
        self._signal(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _answers(self) -> bool:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            until = asyncio.get_running_loop().time() + START
            while self.running and asyncio.get_running_loop().time() < until:
                try:
                    async with session.get(self.url + self._ready) as answer:
                        if answer.status == 200:
                            return True
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(LOOK)
        return False


def _environment(own: Mapping[str, str], port: int) -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251 - handed on, not read
    return {**inherited, **{name: value.format(port=port) for name, value in own.items()}}
