"""Who calls: nobody in particular, whoever holds the shared token, or a Kubernetes user whom TokenReview names."""

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from executor_service.policy import matches

_MAX_REVIEWS = 1024
_MAX_TOKEN_BYTES = 16 * 1024
_DISTRUST_SECONDS = 10.0
_log = structlog.get_logger(__name__)


class UnauthenticatedError(Exception):
    """No credential, or one that is not valid; which of the two is not told."""


class NotAllowedError(Exception):
    """A valid credential of somebody who may not call."""


class AuthenticatorAwayError(Exception):
    """Whoever could tell does not answer."""


class Authenticator(Protocol):
    """Decides from the Authorization header alone."""

    async def caller(self, authorization: bytes) -> str:
        """The caller's name for the audit. Raises UnauthenticatedError, NotAllowedError, AuthenticatorAwayError."""


class Anybody:
    """Whoever reaches the port may call."""

    async def caller(self, authorization: bytes) -> str:  # noqa: ARG002 - nothing is asked for
        """Always the same."""
        return "anonymous"


class SharedToken:
    """One bearer token, compared in constant time and read again when its file changes."""

    def __init__(self, token: str, path: Path | None) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._digest = _digest(token.encode())

    async def caller(self, authorization: bytes) -> str:
        """Everybody with the token is one caller."""
        self._refresh()
        if not hmac.compare_digest(_digest(_bearer(authorization)), self._digest):
            raise UnauthenticatedError
        return "shared-token"

    def _refresh(self) -> None:
        """An unreadable or empty file changes nothing: Kubernetes swaps mounted secrets under our feet."""
        stamp = _stamp(self._path)
        if self._path is None or stamp is None or stamp == self._stamp:
            return
        try:
            token = self._path.read_bytes().strip()
        except OSError as error:
            _log.warning("the file with the caller's credential cannot be read", error=type(error).__name__)
            return
        if token:
            self._digest, self._stamp = _digest(token), stamp
            _log.info("the caller's credential was read again from its file")


@dataclass(frozen=True, slots=True)
class _Known:
    user: str | None
    until: float


class ReviewedToken:
    """A Kubernetes user named by TokenReview; the answer is believed for a bounded time, and only for some users."""

    def __init__(
        self, review: Callable[[str], Awaitable[str | None]], *, callers: tuple[str, ...], believe_seconds: float
    ) -> None:
        self._review = review
        self._callers = callers
        self._believe = believe_seconds
        self._known: dict[bytes, _Known] = {}

    async def caller(self, authorization: bytes) -> str:
        """The user's name."""
        token = _bearer(authorization)
        user = await self._user(token)
        if user is None:
            raise UnauthenticatedError
        if not matches(user, self._callers):
            _log.warning("a caller without permission was refused", user=user)
            raise NotAllowedError
        return user

    async def _user(self, token: bytes) -> str | None:
        if len(token) > _MAX_TOKEN_BYTES or not token.isascii():
            return None
        digest, now = _digest(token), time.monotonic()
        known = self._known.get(digest)
        if known is not None and known.until > now:
            return known.user
        user = await self._review(token.decode())
        if len(self._known) >= _MAX_REVIEWS:
            self._known = dict(list(self._known.items())[_MAX_REVIEWS // 2 :])
        believed = self._believe if user is not None else min(self._believe, _DISTRUST_SECONDS)
        self._known[digest] = _Known(user, now + believed)
        return user


def _bearer(authorization: bytes) -> bytes:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        raise UnauthenticatedError
    return token.strip()


def _digest(token: bytes) -> bytes:
    """Of equal length whatever the token, so that comparing tells nothing; and no token stays in memory."""
    return hashlib.sha256(token).digest()


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
