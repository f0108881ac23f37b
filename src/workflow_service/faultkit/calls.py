"""One JSON request to a program that may be dead, frozen or away just now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

PATIENCE = 10.0  # seconds for one try
FIRST_PAUSE, LAST_PAUSE = 0.1, 1.0  # seconds between tries
ENDURANCE = 300.0  # seconds for all tries: every fault is over sooner than that
_NO_HEADERS: Mapping[str, str] = {}

Address = Callable[[], str]  # asked before every try: programs come back elsewhere


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and document of an answer; the document is None when it was no JSON."""

    status: int
    document: Any


class Silence(Exception):
    """Nobody gave an answer for so long that the product, not a fault, is to blame."""


async def ask(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    body: object = None,
    *,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Answer | None:
    """One try; None when nobody answered."""
    sent = {**headers, "Content-Type": "application/json"}
    data = None if body is None else orjson.dumps(body)
    try:
        async with session.request(
            method, url, data=data, headers=sent, timeout=aiohttp.ClientTimeout(total=PATIENCE)
        ) as answer:
            text = await answer.read()
            return Answer(answer.status, orjson.loads(text) if text else None)
    except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError):
        return None


async def insist(
    session: aiohttp.ClientSession,
    method: str,
    address: Address,
    body: object = None,
    *,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> Answer:
    """Try until somebody answers with something else than a 5xx, as Alertmanager does.

    Raises:
        Silence: nobody did.
    """
    pause, clock = FIRST_PAUSE, asyncio.get_running_loop().time
    until = clock() + ENDURANCE
    while True:
        answer = await ask(session, method, url := address(), body, headers=headers)
        if answer is not None and answer.status < 500:
            return answer
        if clock() > until:
            told = f"{answer.status}: {answer.document}" if answer else "nothing"
            raise Silence(f"{method} {url} has answered {told} for {ENDURANCE:g} s")
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_PAUSE)
