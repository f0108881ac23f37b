"""Telling somebody outside of an alarm: a signed webhook (Standard Webhooks 1.0)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import NotTold
from workflow_service.domain.signatures import sign

_TIMEOUT = aiohttp.ClientTimeout(total=10.0, sock_connect=3.0)


class AlarmWebhook:
    """Where alarms are told. Of two secrets the first signs; both are asked for before every call."""

    def __init__(self, session: SharedSession, *, url: str, secrets: Callable[[], Sequence[bytes]]) -> None:
        self._session, self._url, self._secrets = session, url, secrets

    async def tell(self, message_id: str, document: Mapping[str, Any]) -> None:
        """Post it once; `message_id` is the same in every try.

        Raises:
            NotTold: nobody has taken it.
        """
        body = orjson.dumps(document)
        headers = {"Content-Type": "application/json"}
        headers |= sign(message_id, body, secret=self._secrets()[0], now=time.time())
        try:
            async with self._session.get().post(
                self._url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotTold(f"ALARM_URL does not answer: {type(error).__name__}") from error
        if not 200 <= status < 300:
            raise NotTold(f"ALARM_URL answered {status}")
