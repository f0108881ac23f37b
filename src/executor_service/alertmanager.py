"""Silences of Alertmanager, by its API v2. Redirects are not followed."""

from typing import Any

import aiohttp
import orjson

from executor_service.contract import ActionFailedError, ErrorClass, Json

_MAX_ANSWER = 4_000_000  # bytes of an answer that are read


class Alertmanager:
    """One Alertmanager, asked over HTTP."""

    def __init__(self, url: str | None, *, timeout_seconds: float = 10.0) -> None:
        self._url = url.rstrip("/") if url else None
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def silences(self) -> list[dict[str, Json]]:
        """All silences, the expired ones included. Raises ActionFailedError."""
        return list(await self._exchange("GET", "silences", None))

    async def silence(self, silence_id: str) -> dict[str, Json]:
        """One silence. Raises ActionFailedError (not_found)."""
        return dict(await self._exchange("GET", f"silence/{silence_id}", None))

    async def create(self, silence: dict[str, Json]) -> str:
        """Create a silence; its id. Raises ActionFailedError."""
        return str((await self._exchange("POST", "silences", silence))["silenceID"])

    async def expire(self, silence_id: str) -> None:
        """End a silence; one that has ended already is fine. Raises ActionFailedError."""
        if state_of(await self.silence(silence_id)) != "expired":
            await self._exchange("DELETE", f"silence/{silence_id}", None)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, method: str, path: str, body: Json) -> Any:
        if self._url is None:
            raise ActionFailedError(ErrorClass.PERMANENT, "ALERTMANAGER_URL is not set")
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        content: dict[str, Any] = {"data": orjson.dumps(body)} if body is not None else {}
        headers = {"Content-Type": "application/json"}
        url = f"{self._url}/api/v2/{path}"
        try:
            answer = self._session.request(method, url, headers=headers, allow_redirects=False, **content)
            async with answer as response:
                text, status = await response.content.read(_MAX_ANSWER), response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ActionFailedError(ErrorClass.TRANSIENT, f"Alertmanager: {type(error).__name__}") from error
        if status >= 300:
            raise ActionFailedError(_class_of(status), f"Alertmanager answered {status}: {text[:200].decode()}")
        try:
            return orjson.loads(text or b"{}")
        except orjson.JSONDecodeError as error:
            raise ActionFailedError(ErrorClass.TRANSIENT, "Alertmanager's answer is no JSON") from error


def state_of(silence: dict[str, Json]) -> str:
    """`active`, `pending` or `expired`."""
    return str((silence.get("status") or {}).get("state", ""))


def _class_of(status: int) -> ErrorClass:
    if status == 404:
        return ErrorClass.NOT_FOUND
    return ErrorClass.TRANSIENT if status >= 500 or status == 429 else ErrorClass.PERMANENT
