"""Asking Prometheus for evidence: one instant query, read only (HTTP API v1, `GET /api/v1/query`)."""

import math
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

MAX_ANSWER = 1_000_000  # bytes of an answer that are read
MAX_SERIES = 100  # values that are handed on; `series` says how many there were


class PrometheusError(Exception):
    """There is no answer; the message says why."""


class QueryRefusedError(PrometheusError):
    """Prometheus calls the query itself wrong."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The values of all series of an instant query, without those that are not a number."""

    values: list[float]
    series: int

    @property
    def facts(self) -> dict[str, Any]:
        """What conditions may ask about; nothing when there is no value."""
        if not self.values:
            return {}
        return {"value": self.values[0], "values": self.values[:MAX_SERIES], "series": self.series}


class Prometheus:
    """One Prometheus server, asked over HTTP. Redirects are not followed."""

    def __init__(self, url: str | None, *, timeout_seconds: float = 5.0) -> None:
        self._url = url.rstrip("/") if url else None
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    @property
    def configured(self) -> bool:
        """Whether there is one to ask."""
        return self._url is not None

    async def query(self, promql: str) -> Measurement:
        """Evaluate the query now. Raises QueryRefusedError, or PrometheusError when there is no answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            answer = self._session.get(f"{self._url}/api/v1/query", params={"query": promql}, allow_redirects=False)
            async with answer as response:
                body = await response.content.read(MAX_ANSWER + 1)
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PrometheusError(f"Prometheus did not answer: {type(error).__name__}") from error
        return _read(status, body)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _read(status: int, body: bytes) -> Measurement:
    if len(body) > MAX_ANSWER:
        raise PrometheusError(f"Prometheus answered more than {MAX_ANSWER} bytes")
    document = _document(body)
    if status in {400, 422}:
        raise QueryRefusedError(str(document.get("error") or f"status {status}")[:500])
    if status != 200 or document.get("status") != "success":
        raise PrometheusError(f"Prometheus answered {status}: {str(document.get('error') or '')[:200]}".rstrip(": "))
    try:
        samples = _samples(document["data"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise PrometheusError(f"Prometheus' answer makes no sense: {error!r:.200}") from error
    return Measurement([value for value in samples if math.isfinite(value)], len(samples))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _samples(data: dict[str, Any]) -> list[float]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return [float(result[1])]
    if kind == "vector":
        return [float(series["value"][1]) for series in result]
    raise ValueError(f"a {kind} is no single moment's value")
