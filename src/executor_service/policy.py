"""What an operator allows the executor to do: values, their defaults, how each is spelled. No I/O belongs here."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol, TypeVar
from urllib.parse import urlsplit

from executor_service.contract import AllowedHost, ObjectRef

POOL_LABELS = (
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "karpenter.sh/nodepool",
)
_GLOB = re.compile(r"^[A-Za-z0-9_.:*?@/-]+$")
_LABEL = re.compile(r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_SHARE = re.compile(r"^(\d{1,3})%$")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

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


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be changed, how much of it at once, and how soon again. Durations are seconds; 0 is no limit."""

    protect_own: bool
    own_namespace: str | None
    """The namespace we run in; None: nobody says."""
    require_opt_in: bool
    allowed_actions: tuple[str, ...]
    allowed_namespaces: tuple[str, ...]
    namespace_limit: int
    """Actions that change something in one namespace at the same time."""
    pool_limit: int
    """Actions that change nodes of one pool at the same time."""
    pool_labels: tuple[str, ...]
    limit_wait: float
    """How long an action waits for its place before it is refused."""
    cooldown: float
    cordoned_share: float
    """Largest share of nodes that may be cordoned or not Ready, 0 to 1."""
    unavailable_share: float
    """Largest share of a workload's pods that may be unavailable, 0 to 1; one pod may always be."""
    rehearse: bool
    """Whether each write is tried as a server-side dry run first."""


def read_callers(get: Get) -> CallerPolicy:
    """Who may call, from the settings."""
    return CallerPolicy(
        auth=get("EXECUTOR_AUTH", "token", _parse_auth),
        audiences=get("EXECUTOR_AUDIENCES", (), parse_globs),
        callers=get("EXECUTOR_CALLERS", (), parse_globs),
        review_cache=get("TOKENREVIEW_CACHE", 60.0, parse_pause),
    )


def read_policy(get: Get, *, mounted_namespace: str | None) -> Policy:
    """What is allowed, from the settings; `mounted_namespace` is where a pod's service account says it runs."""
    return Policy(
        protect_own=get("PROTECT_OWN_NAMESPACE", True, parse_flag),
        own_namespace=get("POD_NAMESPACE", mounted_namespace, str),
        require_opt_in=get("REQUIRE_OPT_IN", False, parse_flag),
        allowed_actions=get("ALLOWED_ACTIONS", ("*",), parse_globs),
        allowed_namespaces=get("ALLOWED_NAMESPACES", ("*",), parse_globs),
        namespace_limit=get("MAX_CONCURRENT_PER_NAMESPACE", 10, parse_count),
        pool_limit=get("MAX_CONCURRENT_PER_NODE_POOL", 2, parse_count),
        pool_labels=get("NODE_POOL_LABELS", POOL_LABELS, _parse_labels),
        limit_wait=get("CONCURRENCY_WAIT", 30.0, parse_pause),
        cooldown=get("ACTION_COOLDOWN", 0.0, parse_pause),
        cordoned_share=get("MAX_CORDONED_NODES", 0.5, parse_share),
        unavailable_share=get("MAX_UNAVAILABLE_REPLICAS", 0.5, parse_share),
        rehearse=get("DRY_RUN_FIRST", True, parse_flag),
    )


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Whether any of the globs (`*`, `?`) means the name, case and all."""
    return any(fnmatchcase(name, glob) for glob in globs)


def parse_flag(text: str) -> bool:
    """True or false. Raises ValueError."""
    if text.lower() not in _FLAGS:
        raise ValueError("must be true or false")
    return _FLAGS[text.lower()]


def parse_count(text: str) -> int:
    """A number of actions, 0 to 1000 (0: no limit). Raises ValueError."""
    if not text.isascii() or not text.isdigit() or int(text) > 1000:
        raise ValueError("must be a whole number from 0 (no limit) to 1000")
    return int(text)


def parse_share(text: str) -> float:
    """A share such as 50%, as 0 to 1. Raises ValueError."""
    match = _SHARE.match(text)
    if match is None or int(match[1]) > 100:
        raise ValueError("must be a share from 0% to 100%")
    return int(match[1]) / 100


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


def parse_hosts(text: str) -> tuple[AllowedHost, ...]:
    """`hooks.example.org,http://10.0.0.5:8080,!localhost:9000`: http only where it is written, near hosts with `!`.

    Raises ValueError.
    """
    return tuple(_parse_host(part.strip()) for part in text.split(",") if part.strip())


def parse_patterns(text: str) -> tuple[str, ...]:
    """`production/db-*,staging/*`: namespace/name, where * stands for anything. Raises ValueError."""
    patterns = tuple(part.strip() for part in text.split(",") if part.strip())
    for pattern in patterns:
        if not re.fullmatch(r"[a-z0-9*?.-]+/[a-z0-9*?.-]+", pattern):
            raise ValueError(f"{pattern!r} must be namespace/name, where * stands for anything")
    return patterns


def parse_components(text: str) -> dict[str, ObjectRef]:
    """`dns=Deployment/kube-system/coredns,proxy=DaemonSet/kube-system/kube-proxy`. Raises ValueError."""
    found: dict[str, ObjectRef] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        match = re.fullmatch(r"([a-z][a-z0-9_-]*)=(Deployment|DaemonSet|StatefulSet)/([a-z0-9-]+)/([a-z0-9.-]+)", part)
        if match is None:
            raise ValueError(f"{part!r} must be name=Deployment/namespace/name, DaemonSet or StatefulSet")
        found[match[1]] = ObjectRef(match[2], match[3], match[4])
    return found


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


def _parse_labels(text: str) -> tuple[str, ...]:
    labels = tuple(part.strip() for part in text.split(",") if part.strip())
    for label in labels:
        if not _LABEL.match(label):
            raise ValueError(f"{label!r} is not a label key")
    return labels


def _parse_host(text: str) -> AllowedHost:
    rest = text.removeprefix("!")
    parts = urlsplit(rest if "://" in rest else f"https://{rest}")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.username:
        raise ValueError(f"{text!r} must be a host, host:port or http://host")
    return AllowedHost(parts.hostname, parts.port, parts.scheme == "http", text.startswith("!"))
