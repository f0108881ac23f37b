"""Asking identity providers: an OIDC issuer for its keys, a Kubernetes API server whose token this is.

Whatever keeps the answer away, or makes no sense of it, is `ProviderAway`: nobody was told apart, and it may be later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import ProviderAway

ANSWER_CAP = 512 * 1024  # bytes
_TIMEOUT = aiohttp.ClientTimeout(total=5.0, sock_connect=2.0)
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


class HttpIssuer:
    """An issuer: its keys, found by OpenID Connect Discovery 1.0 where no `jwks_url` is given."""

    def __init__(self, session: SharedSession, *, issuer: str, jwks_url: str | None) -> None:
        self._session, self._issuer, self._jwks_url = session, issuer, jwks_url

    async def keys(self) -> Sequence[Mapping[str, Any]]:
        """The `keys` of the issuer's key set.

        Raises:
            ProviderAway: there is no answer that could be used.
        """
        found = (await _ask(self._session, "GET", self._jwks_url or await self._discovered())).get("keys")
        if not isinstance(found, list):
            raise ProviderAway("the issuer's key set has no keys")
        return [key for key in found if isinstance(key, Mapping)]

    async def _discovered(self) -> str:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await _ask(self._session, "GET", url)
        if document.get("issuer") != self._issuer:
            raise ProviderAway(f"{url} speaks for another issuer: {document.get('issuer')!r}")
        found = document.get("jwks_uri")
        if not isinstance(found, str) or not found.startswith(("https://", "http://")):
            raise ProviderAway(f"{url} names no jwks_uri")
        if self._issuer.startswith("https://") and not found.startswith("https://"):
            raise ProviderAway(f"{url} names a jwks_uri without TLS")
        return found


class HttpTokenReview:
    """A Kubernetes API server. `token` is our own, asked for before every call, since it is rotated."""

    def __init__(self, session: SharedSession, *, url: str, audience: str, token: Callable[[], str | None]) -> None:
        self._session, self._url, self._audience, self._token = session, url.rstrip("/"), audience, token

    async def review(self, token: str) -> tuple[str, Sequence[str]] | None:
        """The user's name and groups; None: the token is nobody's, or not meant for our audience.

        Raises:
            ProviderAway: there is no answer that could be used.
        """
        spec = {"token": token, "audiences": [self._audience]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        own = self._token()
        headers = {"Authorization": f"Bearer {own}"} if own else {}
        status = (await _ask(self._session, "POST", self._url + _REVIEWS, body=body, headers=headers)).get("status")
        # A server that ignores audiences names none: then the token was meant for itself, not for us.
        if not isinstance(status, Mapping) or status.get("authenticated") is not True:
            return None
        user = status.get("user")
        if self._audience not in (status.get("audiences") or ()) or not isinstance(user, Mapping):
            return None
        name, groups = user.get("username"), user.get("groups") or ()
        return (str(name), [str(one) for one in groups]) if name else None


async def _ask(
    session: SharedSession,
    method: str,
    url: str,
    *,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """The JSON object that a 2xx brings."""
    data = None if body is None else orjson.dumps(body)
    sent = {"Content-Type": "application/json", **(headers or {})} if body is not None else {}
    try:
        async with session.get().request(
            method, url, data=data, headers=sent, timeout=_TIMEOUT, allow_redirects=False
        ) as answer:
            content = await answer.content.read(ANSWER_CAP + 1)
            while len(content) <= ANSWER_CAP and (more := await answer.content.read(ANSWER_CAP)):
                content += more
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ProviderAway(f"{url} does not answer: {type(error).__name__}") from error
    if not 200 <= status < 300 or len(content) > ANSWER_CAP:
        raise ProviderAway(f"{url} answered {status} with {len(content)} bytes")
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, Mapping):
        raise ProviderAway(f"{url} answered no JSON object")
    return found
