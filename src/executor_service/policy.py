"""What an operator allows the executor to do: values, their defaults, how each is spelled. No I/O belongs here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol, TypeVar

_GLOB = re.compile(r"^[A-Za-z0-9_.:*?@/-]+$")

T = TypeVar("T")


class Get(Protocol):
    """How a setting is read: its name, its default, and the parser that raises ValueError."""

    def __call__(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        """The value of the setting."""


@dataclass(frozen=True, slots=True)
class CallerPolicy:
    """Who may give orders. Durations are seconds."""

    auth: Literal["token", "tokenreview", "none"]
    audiences: tuple[str, ...]
    """For TokenReview: the token must be meant for one of these; empty: for the API server."""
    callers: tuple[str, ...]
    """For TokenReview: globs of user names that may call; a cluster's every service account can prove who it is."""
    review_cache: float
    """How long an answer of TokenReview is believed."""


def read_callers(get: Get) -> CallerPolicy:
    """Who may call, from the settings."""
    return CallerPolicy(
        auth=get("EXECUTOR_AUTH", "token", _parse_auth),
        audiences=get("EXECUTOR_AUDIENCES", (), parse_globs),
        callers=get("EXECUTOR_CALLERS", (), parse_globs),
        review_cache=get("TOKENREVIEW_CACHE", 60.0, parse_pause),
    )


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Whether any of the globs (`*`, `?`) means the name, case and all."""
    return any(fnmatchcase(name, glob) for glob in globs)


def parse_globs(text: str) -> tuple[str, ...]:
    """Comma-separated names with * and ?. Raises ValueError."""
    globs = tuple(part.strip() for part in text.split(",") if part.strip())
    for glob in globs:
        if not _GLOB.match(glob):
            raise ValueError(f"{glob!r} is not a name with * and ?")
    return globs


def parse_pause(text: str) -> float:
    """A duration such as 30s or 5m, or 0s for none; in seconds. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if match is None:
        raise ValueError("must be a duration such as 0s, 30s or 5m")
    return float(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]]


def _parse_auth(text: str) -> Literal["token", "tokenreview", "none"]:
    match text.lower():
        case "token":
            return "token"
        case "tokenreview":
            return "tokenreview"
        case "none":
            return "none"
        case _:
            raise ValueError("must be token, tokenreview or none")
