"""Speaking to a running service: one request, its answer, and what can go wrong in words for people."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

REFUSED, UNREACHABLE, NOT_COMPLETED = 1, 3, 4  # exit codes; 2 is a wrong command line
_ELSEWHERE, _PASSING = range(300, 400), frozenset({502, 503, 504})  # statuses


class Failed(Exception):
    """It did not work: a line for each thing that is wrong, and the exit code that tells it to scripts."""

    def __init__(self, *lines: str, code: int, passing: bool = False) -> None:
        """`passing`: it may work in a moment."""
        super().__init__("\n".join(lines))
        self.code, self.passing = code, passing


class _Found(dict[str, Any]):
    """An object of an answer. What it must have and has not: it is not the service that has answered."""

    def __missing__(self, name: str) -> Any:
        raise Failed(
            f"what answers there is no workflow-service that this command knows: no {name!r}", code=UNREACHABLE
        )


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the key is for the address that was given."""

    def redirect_request(self, *_asked: object) -> None:
        """Nothing more is asked; the answer is told as it is."""


_OPENER = urllib.request.build_opener(_StayHere)


@dataclass(frozen=True, slots=True)
class Service:
    """Where the service is, and who we are to it."""

    url: str
    token: str | None = field(default=None, repr=False)
    name: str | None = None  # told as X-Service-Name
    patience: float = 75.0  # seconds; an alert is waited for a minute

    def call(
        self,
        method: str,
        *path: str,
        query: Mapping[str, object] | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        **headers: str,
    ) -> Any:
        """The answer's JSON. Parts of the path are quoted; a query's None is left out.

        Raises:
            Failed: nobody answered, or the service refused.
        """
        data = json.dumps(body).encode() if isinstance(body, Mapping) else body
        request = urllib.request.Request(  # noqa: S310 - `checked` lets only http and https pass
            self._address(path, query), data=data, method=method, headers=self._headers(headers)
        )
        try:
            with _OPENER.open(request, timeout=self.patience) as answer:
                return _understood(answer.read(), self.url)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, HTTPException) as error:  # a URLError is an OSError
            reason = getattr(error, "reason", error)
            raise Failed(f"{self.url} cannot be reached: {reason}", code=UNREACHABLE, passing=True) from None

    def _address(self, path: tuple[str, ...], query: Mapping[str, object] | None) -> str:
        asked = {name: value for name, value in (query or {}).items() if value is not None}
        address = "/".join((self.url, *(quote(part, safe="") for part in path)))
        return f"{address}?{urlencode(asked)}" if asked else address

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        found = {"Content-Type": "application/json", "Accept": "application/json"}
        found |= {name.replace("_", "-"): value for name, value in more.items()}
        if self.token:
            found["Authorization"] = f"Bearer {self.token}"
        if self.name:
            found["X-Service-Name"] = self.name
        return found


def checked(url: str) -> str:
    """A base URL without its last slash.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{url!r} must be a URL such as http://127.0.0.1:8083")
    return url.rstrip("/")


def _understood(body: bytes, url: str) -> Any:
    try:
        found = json.loads(body or b"{}", object_hook=_Found)
    except ValueError:
        found = None
    if not isinstance(found, _Found):
        raise Failed(f"{url} answers what is no JSON of a workflow-service", code=UNREACHABLE)
    return found


def _refusal(error: urllib.error.HTTPError) -> Failed:
    """What a problem+json says (RFC 9457), line by line."""
    if error.code in _ELSEWHERE:
        there = error.headers.get("Location")
        return Failed(f"it is elsewhere, and the key is not sent there: --url {there!r}", code=UNREACHABLE)
    try:
        problem = json.loads(error.read())
        broken = [f"  {one['field']}: {one.get('value')!r} {one['rule']}" for one in problem.get("errors") or ()]
        lines = [problem["title"] if broken else f"{problem['title']}: {problem['detail']}", *broken]
        if allowed := problem.get("allowed"):
            lines.append(f"  possible now: {', '.join(allowed)}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        lines = [f"the service answered {error.code}"]
    return Failed(*lines, code=REFUSED, passing=error.code in _PASSING)
