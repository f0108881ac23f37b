"""The configured channels and one delivery over each."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
import structlog

from executor_service.contract import ActionFailedError, ErrorClass, Json
from executor_service.telemetry.redaction import redacted

_log = structlog.get_logger(__name__)
_TEXTS = ("message", "reason", "team", "alert")  # what strangers may have written


class Channels:
    """Log, generic webhook (JSON with the key), Slack-compatible webhook. Redirects are not followed."""

    def __init__(self, *, webhook_url: str | None, slack_url: str | None, timeout_seconds: float = 10.0) -> None:
        self._urls = {"webhook": webhook_url, "slack": slack_url}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    @property
    def configured(self) -> list[str]:
        """The channels a notification goes to, the log first."""
        return ["log", *(name for name, url in self._urls.items() if url)]

    async def deliver(self, channel: str, notice: Mapping[str, Json]) -> None:
        """One delivery, without what looks like a secret. Raises ActionFailedError (transient; throttled on 429)."""
        notice = {**notice, **{name: redacted(notice[name]) for name in _TEXTS if name in notice}}
        if channel == "log":
            _log.log(_level(str(notice["severity"])), "notification", **notice)
            return
        body = _slack_body(notice) if channel == "slack" else dict(notice)
        await self._post(channel, body, key=str(notice["key"]))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, channel: str, body: dict[str, Json], *, key: str) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            url = str(self._urls[channel])
            answer = self._session.post(url, data=orjson.dumps(body), headers=headers, allow_redirects=False)
            async with answer as response:
                code = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ActionFailedError(ErrorClass.TRANSIENT, f"channel {channel}: {type(error).__name__}") from error
        if code >= 300:
            failed = ErrorClass.THROTTLED if code == 429 else ErrorClass.TRANSIENT
            raise ActionFailedError(failed, f"channel {channel} answered {code}")


def _level(severity: str) -> int:
    return {"info": 20, "warning": 30}.get(severity, 40)


def _slack_body(notice: Mapping[str, Json]) -> dict[str, Any]:
    where = f" ({notice['namespace']})" if notice.get("namespace") else ""
    return {"text": f"[{str(notice['severity']).upper()}] {notice['message']}{where}"}
