"""Calls to addresses that a plan names: only where the operator allows it, and never where a network hides secrets.

The host must be allow-listed, the scheme must be https (or http for a host listed as `http://host`), redirects are not
followed, and the address that the name resolves to is checked at the moment of connecting: loopback, link-local (cloud
metadata services) and unspecified addresses are taken only for hosts that are listed with `!`, such as `!localhost`.
"""

import socket
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from executor_service.contract import ActionFailedError, AllowedHost, ErrorClass, Json

_MAX_ANSWER = 4096


class Webhooks:
    """Checks and calls."""

    def __init__(self, allowed: tuple[AllowedHost, ...], *, timeout_seconds: float = 10.0) -> None:
        self._allowed = allowed
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    def check(self, url: str) -> AllowedHost:
        """The entry that allows the URL. Raises ActionFailedError (refused, forbidden) when none does."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise _refusal(f"{url!r:.200} has no usable port") from error
        if parts.username or parts.password:
            raise _refusal("the URL must not hold a name or a password")
        for entry in self._allowed:
            fits = entry.host == (parts.hostname or "").lower() and entry.port in {None, port}
            if fits and (parts.scheme == "https" or (parts.scheme == "http" and entry.plain)):
                return entry
        raise _refusal(f"{parts.scheme}://{parts.hostname} is not allowed by WEBHOOK_ALLOWED_HOSTS")

    async def call(self, method: str, url: str, body: Json, *, key: str, secrets: Mapping[str, str]) -> dict[str, Json]:
        """Call once, with `secrets` as headers; status and the beginning of the answer. Raises ActionFailedError.

        Of an answer to a call with secrets only the status is kept: it may repeat them.
        """
        entry = self.check(url)
        if not entry.near:
            _refuse_near([_literal(urlsplit(url).hostname or "")])
        resolver = _Resolver(near=entry.near)
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
        usual = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "executor-service"}
        headers = {**usual, **secrets}
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, connector=connector, trust_env=False) as session,
                session.request(
                    method, url, data=orjson.dumps(body), headers=headers, allow_redirects=False
                ) as response,
            ):
                text = (await response.content.read(_MAX_ANSWER)).decode("utf-8", "replace")
                return _answer(response.status, "(not kept: it may repeat a secret)" if secrets else text)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ActionFailedError(ErrorClass.TRANSIENT, f"webhook: {type(error).__name__}") from error


class _Resolver(AbstractResolver):
    """The usual resolver, with its answers checked: what is checked is what is connected to."""

    def __init__(self, *, near: bool) -> None:
        self._usual = ThreadedResolver()
        self._near = near

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._usual.resolve(host, port, family)
        if not self._near:
            _refuse_near([entry["host"] for entry in found])
        return found

    async def close(self) -> None:
        await self._usual.close()


def _literal(host: str) -> str:
    """The host when it is an address (then nobody resolves it), else a harmless one."""
    try:
        return str(ip_address(host))
    except ValueError:
        return "192.0.2.1"


def _refuse_near(addresses: list[str]) -> None:
    for text in addresses:
        address: Any = ip_address(text.partition("%")[0])
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast:
            raise _refusal(f"the host is at {address}, which is loopback, link-local or no address of a host")


def _answer(status: int, text: str) -> dict[str, Json]:
    if status >= 500 or status in {408, 429}:
        failed = ErrorClass.THROTTLED if status == 429 else ErrorClass.TRANSIENT
        raise ActionFailedError(failed, f"the webhook answered {status}")
    if status >= 300:
        raise ActionFailedError(ErrorClass.PERMANENT, f"the webhook answered {status}", result={"status": status})
    return {"status": status, "answer": text[:1000]}


def _refusal(why: str) -> ActionFailedError:
    return ActionFailedError(ErrorClass.FORBIDDEN, why, refused=True)
