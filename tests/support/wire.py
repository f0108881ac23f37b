"""The wire to the executor, as bad as a test wants: a TCP proxy that loses, cuts, doubles or holds back HTTP messages.

One connection carries one message and its answer. The proxy runs in a thread of its own, so that any test can use it.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import unquote

PATIENCE = 30.0  # seconds that the test's thread waits for the proxy's
LONGEST_DELAY = 0.5  # seconds

Found = TypeVar("Found")


class Fate(Enum):
    """What becomes of one message."""

    PASS = auto()
    DELAY = auto()  # it arrives a little later
    LOSE = auto()  # the connection is cut and nothing arrives
    LATE = auto()  # the connection is cut, and the message arrives a little later all the same
    CUT = auto()  # it arrives and is answered; the connection is cut instead of the answer
    TWICE = auto()  # it arrives twice at once; one answer comes back
    HOLD = auto()  # it is kept until `deliver`
    KEEP = auto()  # it arrives; its answer is kept until `deliver`


@dataclass(frozen=True, slots=True)
class Message:
    """One request that came to the proxy."""

    sort: str  # order | undo | question | cancel | read
    key: str  # idempotency key; empty for a read
    body: Mapping[str, Any]


@dataclass(slots=True)
class _Rule:
    sort: str
    fate: Fate
    times: int

    def strikes(self, message: Message) -> bool:
        return self.sort == message.sort and self.times > 0


@dataclass(frozen=True, slots=True)
class _Held:
    message: Message
    answer: Callable[[], Awaitable[bytes]]
    back: asyncio.StreamWriter


class Wire:
    """Listens on `url`, forwards to `target` (a port). `seen` is what came, `told` what the executor answered to it."""

    def __init__(self) -> None:
        self.target = 0
        self.seen: list[Message] = []
        self.told: list[tuple[Message, Any]] = []  # what was answered, also where the answer was cut or kept
        self._rules: list[_Rule] = []
        self._chances: Mapping[Fate, float] = {}
        self._random = random.Random()  # noqa: S311 - faults, no secrets
        self._held: list[_Held] = []
        self._busy: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire")
        self.port = 0

    @property
    def url(self) -> str:
        """Where the executor seems to be."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Wire:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._take, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def strike(self, sort: str, fate: Fate, *, times: int = 1) -> None:
        """The next `times` messages of that sort meet this fate; rules are tried in the order they were given."""
        self._rules.append(_Rule(sort, fate, times))

    def storm(self, chances: Mapping[Fate, float], *, seed: int) -> None:
        """Every message that no rule strikes meets these fates by chance; what is left of 1 passes."""
        self._chances = chances
        self._random.seed(seed)

    def calm(self) -> None:
        """From now on everything passes; what is held stays held."""
        self._rules.clear()
        self._chances = {}

    def keys(self, sort: str) -> list[str]:
        """The keys of the messages of a sort, in the order in which they came."""
        return [message.key for message in self.seen if message.sort == sort]

    def held(self, sort: str) -> list[Message]:
        """What is held back now, or whose answer is."""
        return [one.message for one in self._held if one.message.sort == sort]

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way, what is held apart."""
        return not self._busy

    def deliver(self) -> list[Any]:
        """Let all that is held go on its way; what the executor has answered to each."""
        return self._do(self._deliver())

    def drop(self) -> None:
        """Cut what is held: it never arrives, nor does its answer."""
        self._do(self._drop())

    def _do(self, what: Awaitable[Found]) -> Found:
        async def wait() -> Found:
            return await what

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(PATIENCE)

    async def _take(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            raw = head + await reader.readexactly(_length(head))
            message = _message(raw)
            self.seen.append(message)
            await self._meet(self._fate(message), message, raw, back)

    def _fate(self, message: Message) -> Fate:
        for rule in self._rules:
            if rule.strikes(message):
                rule.times -= 1
                return rule.fate
        drawn = self._random.random()
        for fate, chance in self._chances.items():
            drawn -= chance
            if drawn < 0:
                return fate
        return Fate.PASS

    async def _meet(self, fate: Fate, message: Message, raw: bytes, back: asyncio.StreamWriter) -> None:
        async def arrive() -> bytes:
            return await self._forward(message, raw)

        match fate:
            case Fate.HOLD:
                self._held.append(_Held(message, arrive, back))
            case Fate.KEEP:
                arrived = asyncio.ensure_future(arrive())
                self._held.append(_Held(message, lambda: asyncio.shield(arrived), back))
                await arrived
            case Fate.LOSE | Fate.CUT | Fate.LATE:
                await self._cut_off(fate, arrive, back)
            case _:
                if fate is Fate.DELAY:
                    await self._pause()
                answers = await asyncio.gather(*(arrive() for _ in range(2 if fate is Fate.TWICE else 1)))
                await _reply(back, answers[0])

    async def _cut_off(self, fate: Fate, arrive: Callable[[], Awaitable[bytes]], back: asyncio.StreamWriter) -> None:
        if fate is Fate.CUT:
            await arrive()
        back.transport.abort()
        if fate is Fate.LATE:
            await self._pause()
            await arrive()

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.uniform(0, LONGEST_DELAY))

    async def _forward(self, message: Message, raw: bytes) -> bytes:
        """The executor's whole answer; empty when it does not answer."""
        first, rest = raw.split(b"\r\n", 1)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
            writer.write(first + b"\r\nConnection: close\r\n" + rest)
            answer = await reader.read()
        except ConnectionError:
            return b""
        writer.close()
        self.told.append((message, _said(answer)))
        return answer

    async def _deliver(self) -> list[Any]:
        held, self._held = self._held, []
        said = []
        for one in held:
            answer = await one.answer()
            said.append(_said(answer))
            await _reply(one.back, answer)
        return said

    async def _drop(self) -> None:
        held, self._held = self._held, []
        for one in held:
            one.back.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        await self._drop()
        for task in self._busy - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _message(raw: bytes) -> Message:
    head, _, content = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, path, _version = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    body = json.loads(content) if content else {}
    if path == "/api/v1/execute":
        sort = "undo" if body["action"]["type"] == "undo" else "order"
        return Message(sort, headers["idempotency-key"], body)
    _, found, key = path.partition("/by-key/")
    if not found:
        return Message("read", "", body)
    return Message("cancel" if method == "POST" else "question", unquote(key.removesuffix("/cancel")), body)


def _said(answer: bytes) -> Any:
    """The JSON of an answer; None when there is none."""
    content = answer.partition(b"\r\n\r\n")[2]
    return json.loads(content) if content.startswith(b"{") else None


async def _reply(back: asyncio.StreamWriter, answer: bytes) -> None:
    with suppress(ConnectionError):
        back.write(answer)
        await back.drain()
        back.close()
