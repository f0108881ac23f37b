"""The executor client: the port's questions over HTTP, and what each answer or silence means.

What a call ends with, when it brings no result:

| what happened | effects (execute, cancel) and reads alike |
|---|---|
| name unknown, refused, no route, connect timeout, TLS refused, 429 | `Unreachable`: nothing was taken in |
| cut, reset or silent once sending may have begun | `Unanswered` |
| 408, 5xx without a result, any answer that is no JSON, too large or makes no sense | `Unanswered` |
| 412 to an order, with the `ledger_id` of another ledger than it was for | `OtherLedger`: nothing was begun |
| other 4xx without a refusal; 301, 307, 308 (a wrong address: the request was not processed) | `Misunderstood` |

502, 503 and 504 stay `Unanswered` even for reads: a proxy may have passed the request on, and whoever asks by key must
never take a silent ledger for one that has not seen the key. For the same reason a 404 by key without a `ledger_id` (a
proxy's, or an executor that keeps no ledger) is `Unanswered`, not `NeverSeen`. Reads have no effect, so they are sent
again, twice, within one small budget, after silence, failure to connect and 502 to 504 (aiohttp adds a GET of its own
where a connection is cut); effects are sent once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from workflow_service.clients import executor_wire as wire
from workflow_service.clients.session import SharedSession
from workflow_service.domain.catalogue import Catalogue, catalogue_from_wire
from workflow_service.domain.errors import ExecutorError, Misunderstood, OtherLedger, Unanswered, Unreachable
from workflow_service.domain.target import Target
from workflow_service.ports import ActionOutcome, ActionRequest, NeverSeen, Observation
from workflow_service.telemetry import tracing

_KEY = re.compile(r"[ -~]{1,256}")
ANSWER_CAP = 1024 * 1024  # bytes
LEDGER_FRESH_SECONDS = 5.0
_CONNECT_SECONDS = 2.0
_PROXY_TROUBLE = frozenset({502, 503, 504})
_NOT_PROCESSED_THERE = frozenset({301, 307, 308})
_NOT_THE_CALLERS_FAULT = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until a call counts as unanswered. Effects outlast the executor's own 10 s of synchronous waiting.

    No order is waited for longer than it may take: `last_word` seconds after its remaining time it is unanswered.
    """

    effect: float = 15.0
    last_word: float = 1.0
    read: float = 5.0  # all tries together
    health: float = 2.0
    pauses: tuple[float, ...] = (0.1, 0.3)  # before the second and the third try of a read


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    document: object  # parsed JSON; None when it is none
    location: str | None

    @property
    def ledger_id(self) -> str | None:
        """The ledger that it names."""
        found = self.document.get("ledger_id") if isinstance(self.document, Mapping) else None
        return found if isinstance(found, str) and found else None

    def mapping(self) -> Mapping[str, Any]:
        """The JSON object of a 200; raises what the answer stands for instead."""
        if self.status == 200 and isinstance(self.document, Mapping):
            return self.document
        raise self.failure()

    def failure(self) -> ExecutorError:
        """The error that an answer without a result stands for."""
        said = f"executor answered {self.status}: {wire.complaint(self.document) or 'no result in it'}"
        if self.status == 429:
            return Unreachable(said)
        if self.status in _NOT_PROCESSED_THERE:
            return Misunderstood(
                f"executor redirects to {self.location}: EXECUTOR_SERVICE_URL must be its final address"
            )
        if 400 <= self.status < 500 and self.status not in _NOT_THE_CALLERS_FAULT:
            return Misunderstood(said)
        return Unanswered(said)


class HttpExecutor:
    """`ports.Executor` over HTTP. `token` is asked before every call, so that a rotated token is used at once."""

    def __init__(
        self,
        base_url: str,
        session: SharedSession,
        *,
        token: Callable[[], str | None],
        patience: Patience | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._session = session
        self._token = token
        self._patience = patience or Patience()
        self._ledger: tuple[str | None, float] | None = None  # id, loop time when heard
        self._asking: asyncio.Task[str | None] | None = None

    async def ledger_id(self) -> str | None:
        """The executor's present ledger, at most 5 s old; None when it keeps none."""
        if self._ledger is not None and asyncio.get_running_loop().time() - self._ledger[1] <= LEDGER_FRESH_SECONDS:
            return self._ledger[0]
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_ledger())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)  # one question for all who wait, and no waiter cancels it

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """Send the action once; its result, or that it still runs.

        Raises:
            OtherLedger: the request is for another ledger than the present one; nothing was begun.
        """
        if not _KEY.fullmatch(request.key):
            raise Misunderstood(f"key: {request.key!r} must be 1 to 256 printable ASCII characters")
        within = min(self._patience.effect, max(0.0, request.remaining_seconds) + self._patience.last_word)
        given = {"Idempotency-Key": request.key}
        # The id is the executor's own word. What no header can carry is not sent: the order is for any ledger then, as
        # with an executor that does not know the header.
        if request.ledger_id is not None and _KEY.fullmatch(request.ledger_id):
            given["Ledger-Id"] = request.ledger_id
        body = wire.execute_body(request)
        answer = await self._send("POST", "/api/v1/execute", body=body, given=given, within=within)
        if answer.status == 412 and (there := answer.ledger_id) not in {None, request.ledger_id}:
            self._heard(there)
            raise OtherLedger(f"executor keeps ledger {there} now, and the order was for {request.ledger_id}")
        return self._outcome(answer)

    async def cancel(self, key: str) -> ActionOutcome:
        """Forbid the key for ever, or stop it, or learn that it is done; may still answer `running`."""
        return self._outcome(await self._send("POST", f"{_by_key(key)}/cancel", body={}, within=self._patience.effect))

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """What became of that key."""
        answer = await self._read("GET", _by_key(key))
        if answer.status != 404:
            found = self._outcome(answer)
            self._heard(found.ledger_id)
            return found
        if (ledger_id := answer.ledger_id) is None:
            raise Unanswered("executor answered 404 by key without naming its ledger: it may not know what it did")
        self._heard(ledger_id)
        return NeverSeen(ledger_id)

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """What it offers, and the raw document."""
        document = (await self._read("GET", "/api/v1/actions")).mapping()
        try:
            offered = catalogue_from_wire(document)
        except (TypeError, ValueError, AttributeError) as error:
            raise Unanswered(f"executor's catalogue makes no sense: {error}") from error
        self._heard(document.get("ledger_id"))
        return offered, document

    async def observe(self, target: Target) -> Observation:
        """Look at an object now."""
        document = (await self._read("POST", "/api/v1/observe", wire.observe_body(target))).mapping()
        try:
            return wire.observation(document, cluster=target.cluster)
        except (TypeError, ValueError) as error:
            raise Unanswered(f"executor's observation makes no sense: {error}") from error

    async def measure(self, promql: str) -> Observation:
        """Ask Prometheus through the executor."""
        document = (await self._read("POST", "/api/v1/observe", {"promql": promql})).mapping()
        try:
            return wire.observation(document, cluster="")
        except (TypeError, ValueError) as error:
            raise Unanswered(f"executor's measurement makes no sense: {error}") from error

    async def healthy(self) -> bool:
        """Whether it answers its health check with anything but a server error."""
        try:
            return (await self._send("GET", "/health", within=self._patience.health)).status < 500
        except ExecutorError:
            return False

    def _outcome(self, answer: _Answer) -> ActionOutcome:
        # A server error that still carries a result is a foreign executor's way to say "failed"; a 403 with one is a
        # rule of the executor that said no, a 403 without one a caller that may not call.
        told = answer.status in {200, 201, 202, 403} or answer.status >= 500
        result = wire.outcome(answer.document) if told else None
        if result is None or (answer.status == 403 and result.status != "refused"):
            raise answer.failure()
        return result

    async def _ask_ledger(self) -> str | None:
        answer = await self._read("GET", "/api/v1/actions")
        known = None if answer.status in {404, 405} else answer.mapping().get("ledger_id")
        return self._heard(known)

    def _asked(self, task: asyncio.Task[str | None]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # every waiter may have gone; an unread exception would be logged as an error

    def _heard(self, ledger_id: object) -> str | None:
        known = ledger_id if isinstance(ledger_id, str) and ledger_id else None
        self._ledger = (known, asyncio.get_running_loop().time())
        return known

    async def _read(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> _Answer:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience.read
        for pause in self._patience.pauses:
            try:
                answer = await self._send(method, path, body=body, within=deadline - clock())
            except (Unreachable, Unanswered):
                if clock() + pause >= deadline:
                    raise
            else:
                if answer.status not in _PROXY_TROUBLE or clock() + pause >= deadline:
                    return answer
            await asyncio.sleep(pause)
        return await self._send(method, path, body=body, within=deadline - clock())

    async def _send(
        self,
        method: str,
        path: str,
        *,
        within: float,
        body: Mapping[str, Any] | None = None,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> _Answer:
        timeout = aiohttp.ClientTimeout(total=max(within, 0.001), connect=_CONNECT_SECONDS)
        data = None if body is None else _written(body)
        try:
            async with self._session.get().request(
                method,
                URL(self._base + path, encoded=True),
                data=data,
                headers={**self._headers(), **given},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return _Answer(response.status, await _json(response), response.headers.get("Location"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(f"executor at {self._base} cannot be reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unanswered(f"executor at {self._base} did not answer: {str(error) or 'no answer in time'}") from error

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", **tracing.onward()}
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        return headers


def _by_key(key: str) -> str:
    return f"/api/v1/actions/by-key/{quote(key, safe='')}"


def _written(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, default=_plain)
    except TypeError as error:
        raise Misunderstood(f"the request has no JSON form: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


async def _json(response: aiohttp.ClientResponse) -> object:
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > ANSWER_CAP:
            response.close()
            raise Unanswered(f"executor answered {response.status} with more than {ANSWER_CAP} bytes")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
