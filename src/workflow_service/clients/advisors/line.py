"""The line to one advisor's server: every exchange on it is bounded, follows no redirect, and ends in words of ours.

The caller bounds the time of the whole; here only connecting has a limit of its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import AdvisorAway
from workflow_service.domain.redaction import cleaned

ANSWER_CAP = 256 * 1024  # bytes
CONNECT_SECONDS = 2.0
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
_COMPLAINT = 300  # characters of an error that are kept


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back: status and at most `ANSWER_CAP` bytes."""

    status: int
    body: bytes
    retry_after: float | None = None  # seconds

    def document(self) -> object:
        """The JSON value in it; None when there is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def mapping(self) -> Mapping[str, Any]:
        """The JSON object in it; empty when there is none."""
        found = self.document()
        return found if isinstance(found, Mapping) else {}

    def away(self) -> AdvisorAway:
        """The error that an answer other than 200 stands for."""
        said = f"answered {self.status}: {self.complaint()}".rstrip(": ")
        if self.status == 429:
            return AdvisorAway("rate_limited", said, passing=True, silent=True, retry_after=self.retry_after)
        if self.status >= 500 or self.status in {408, 425}:
            return AdvisorAway("server_error", said, passing=True, silent=True, retry_after=self.retry_after)
        if 300 <= self.status < 400:
            return AdvisorAway("redirected", f"{said}; AI_SERVICE_URL must be its final address")
        if self.status in {401, 403, 407}:
            return AdvisorAway("unauthorized", f"{said}; AI_API_KEY is missing or wrong")
        return AdvisorAway("bad_request", said)

    def complaint(self) -> str:
        """What it says about an error, in one clean line."""
        found = self.mapping()
        error = found.get("error") or found.get("detail") or found.get("message") or found.get("title") or ""
        if isinstance(error, Mapping):
            error = error.get("message") or ""
        return cleaned(str(error), _COMPLAINT)


class Line:
    """To `base`. `key` is asked before every request, so that a key that was replaced is used at once."""

    def __init__(self, base: str, session: SharedSession, *, key: Callable[[], str | None]) -> None:
        self.base = base.rstrip("/")
        self._session, self._key = session, key

    async def get(self, path: str) -> Heard:
        """Read something.

        Raises:
            AdvisorAway: nothing came back, or too much.
        """
        async with self._exchange("GET", path, None) as answer:
            return await _whole(answer)

    async def post(self, path: str, body: Mapping[str, Any]) -> Heard:
        """Ask something.

        Raises:
            AdvisorAway: nothing came back, or too much.
        """
        async with self._exchange("POST", path, body) as answer:
            return await _whole(answer)

    @asynccontextmanager
    async def streamed(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientResponse | Heard]:
        """Ask something that may be answered piece by piece: the open answer if it is a stream of events.

        Raises:
            AdvisorAway: nothing came back, or it was cut.
        """
        async with self._exchange("POST", path, body) as answer:
            live = answer.status == 200 and answer.content_type == "text/event-stream"
            yield answer if live else await _whole(answer)

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        data = None if body is None else orjson.dumps(body)
        try:
            async with self._session.get().request(
                method,
                URL(self.base + path, encoded=True),
                data=data,
                headers=self._headers(),
                timeout=_TIMEOUT,
                allow_redirects=False,
                auto_decompress=False,
            ) as answer:
                yield answer
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise AdvisorAway(
                "unreachable", f"the advisor at {self.base} cannot be reached: {error}", silent=True
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            said = f"the advisor at {self.base} did not answer to the end: {type(error).__name__}"
            raise AdvisorAway("cut", said, passing=True, silent=True) from error

    def _headers(self) -> dict[str, str]:
        """The key alone says who we are: HolmesGPT hands all other headers on to its tools."""
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        key = self._key()
        return {**headers, "Authorization": f"Bearer {key}"} if key else headers


async def _whole(answer: aiohttp.ClientResponse) -> Heard:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        answer.close()
        raise AdvisorAway("compressed", f"answered {answer.status} compressed, which was not asked for")
    body = bytearray()
    async for chunk in answer.content.iter_chunked(32 * 1024):
        body += chunk
        if len(body) > ANSWER_CAP:
            answer.close()
            raise AdvisorAway("too_large", f"answered {answer.status} with more than {ANSWER_CAP} bytes")
    return Heard(answer.status, bytes(body), _seconds(answer.headers.get("Retry-After")))


def _seconds(header: str | None) -> float | None:
    """Retry-After in its form of seconds (RFC 9110, 10.2.3); a date counts as none."""
    return float(header) if header and re.fullmatch(r"\d{1,6}", header.strip()) else None
