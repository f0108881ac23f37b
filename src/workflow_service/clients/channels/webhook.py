"""A webhook for machines, signed by Standard Webhooks 1.0 (`webhook-id`, `webhook-timestamp`, `webhook-signature`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import orjson

from workflow_service.clients.channels.posting import post
from workflow_service.clients.session import SharedSession
from workflow_service.domain.letters import Message
from workflow_service.domain.signatures import sign


class WebhookChannel:
    """Where it posts to. Of two secrets the first signs; both are asked for before every call."""

    def __init__(self, session: SharedSession, *, url: str, secrets: Callable[[], Sequence[bytes]], name: str) -> None:
        """`name`: of the setting that has the URL."""
        self._session, self._url, self._secrets, self._name = session, url, secrets, name

    async def tell(self, message: Message) -> None:
        """Post it once: `type`, `timestamp` and `data`, as the standard recommends.

        Raises:
            NotTold: nobody has taken it.
        """
        links = {one.label: one.url for one in message.links}
        body = orjson.dumps(
            {
                "type": f"workflow-service.{message.kind}",
                "timestamp": message.at,
                "data": {**message.data, "headline": message.headline, "links": links},
            }
        )
        headers = {"Content-Type": "application/json"}
        headers |= sign(message.id, body, secret=self._secrets()[0], now=time.time())
        await post(self._session, self._url, body, headers, name=self._name)
