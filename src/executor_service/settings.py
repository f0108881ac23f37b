"""The only reader of the environment: one frozen dataclass, all problems reported at once."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from executor_service.contract import AllowedHost, ObjectRef
from executor_service.policy import (
    CallerPolicy,
    Policy,
    parse_components,
    parse_hosts,
    parse_patterns,
    read_callers,
    read_policy,
)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LEVELS = {
    "trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error",
    "fatal": "critical", "panic": "critical", "critical": "critical",
}  # fmt: skip
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can set. Durations are seconds; whatever may hold a secret is not in its `repr`."""

    host: str
    port: int
    database_url: str = field(repr=False)
    data_dir: Path
    cluster_name: str
    kubeconfig: Path | None
    """None: the pod's own service account."""
    token: str | None = field(repr=False)
    token_file: Path | None
    """Where the token came from; read again when the file changes."""
    callers: CallerPolicy
    policy: Policy
    log_level: str
    protected_namespaces: frozenset[str]
    notify_webhook_url: str | None = field(repr=False)
    slack_webhook_url: str | None = field(repr=False)
    prometheus_url: str | None = field(repr=False)  # where evidence is asked for; None: nowhere
    alertmanager_url: str | None = field(repr=False)
    webhook_allowed_hosts: tuple[AllowedHost, ...]
    job_templates: Path | None
    rotatable_secrets: tuple[str, ...]
    """Patterns of namespace/name, as are these:"""
    readable_secrets: tuple[str, ...]
    network_components: Mapping[str, ObjectRef]
    sync_wait: float
    """How long an HTTP call waits for an action before it answers 202."""
    kubernetes_timeout: float
    ledger_retention: float
    snapshot_retention: float
    """Until when an undo is offered; raw objects are forgotten after it."""
    audit_retention: float

    @property
    def configured(self) -> frozenset[str]:
        """The settings without which some actions are not offered, as far as they are set."""
        values = {
            "PROMETHEUS_URL": self.prometheus_url,
            "ALERTMANAGER_URL": self.alertmanager_url,
            "WEBHOOK_ALLOWED_HOSTS": self.webhook_allowed_hosts,
            "JOB_TEMPLATES": self.job_templates,
            "ROTATABLE_SECRETS": self.rotatable_secrets,
            "READABLE_SECRETS": self.readable_secrets,
            "NETWORK_COMPONENTS": self.network_components,
        }
        return frozenset(name for name, value in values.items() if value)


class SettingsError(ValueError):
    """The environment cannot be used; `problems` has one sentence per bad setting."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Reader:
    """Collects problems instead of stopping at the first."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: list[str] = []

    def get(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        raw = self.environment.get(name, "").strip()
        if not raw:
            return default
        try:
            return parse(raw)
        except ValueError as error:
            self.problems.append(f"{name}={raw!r}: {error}")
            return default

    def secret(self, name: str) -> str | None:
        """The value of NAME, or the content of the file that NAME_FILE names; the value itself is never reported."""
        direct, path = self.environment.get(name, "").strip(), self.environment.get(f"{name}_FILE", "").strip()
        if direct and path:
            self.problems.append(f"{name} and {name}_FILE: set one of them, not both")
        if direct or not path:
            return direct or None
        try:
            content = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{name}_FILE={path!r}: cannot be read ({type(error).__name__})")
            return None
        if not content:
            self.problems.append(f"{name}_FILE={path!r}: the file is empty")
        return content or None


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises SettingsError that lists every problem."""
    read = _Reader(os.environ if environment is None else environment)
    data_dir = read.get("DATA_DIR", Path("data"), Path)
    settings = Settings(
        host=read.get("HOST", "127.0.0.1", str),
        port=read.get("EXECUTOR_SERVICE_PORT", 8084, parse_port),
        database_url=read.get("DATABASE_URL", f"sqlite+aiosqlite:///{data_dir / 'executor.sqlite'}", parse_database),
        data_dir=data_dir,
        cluster_name=read.get("CLUSTER_NAME", "default", _parse_text),
        kubeconfig=_kubeconfig(read),
        token=read.secret("EXECUTOR_TOKEN"),
        token_file=read.get("EXECUTOR_TOKEN_FILE", None, Path),
        callers=read_callers(read.get),
        policy=read_policy(read.get, mounted_namespace=_mounted_namespace()),
        log_level=read.get("LOG_LEVEL", "info", _parse_level),
        protected_namespaces=read.get(
            "PROTECTED_NAMESPACES", frozenset({"kube-system", "kube-public", "kube-node-lease"}), _parse_namespaces
        ),
        notify_webhook_url=read.get("NOTIFY_WEBHOOK_URL", None, _parse_url),
        slack_webhook_url=read.get("SLACK_WEBHOOK_URL", None, _parse_url),
        prometheus_url=read.get("PROMETHEUS_URL", None, _parse_url),
        alertmanager_url=read.get("ALERTMANAGER_URL", None, _parse_url),
        webhook_allowed_hosts=read.get("WEBHOOK_ALLOWED_HOSTS", (), parse_hosts),
        job_templates=read.get("JOB_TEMPLATES", None, _parse_directory),
        rotatable_secrets=read.get("ROTATABLE_SECRETS", (), parse_patterns),
        readable_secrets=read.get("READABLE_SECRETS", (), parse_patterns),
        network_components=read.get("NETWORK_COMPONENTS", {}, parse_components),
        sync_wait=read.get("SYNC_WAIT", 10.0, parse_duration),
        kubernetes_timeout=read.get("KUBERNETES_TIMEOUT", 10.0, parse_duration),
        ledger_retention=read.get("LEDGER_RETENTION", 30 * 86400.0, parse_duration),
        snapshot_retention=read.get("SNAPSHOT_RETENTION", 7 * 86400.0, parse_duration),
        audit_retention=read.get("AUDIT_RETENTION", 30 * 86400.0, parse_duration),
    )
    read.problems += _caller_problems(settings)
    if settings.snapshot_retention > settings.ledger_retention:
        read.problems.append("SNAPSHOT_RETENTION: must not be longer than LEDGER_RETENTION")
    if read.problems:
        raise SettingsError(read.problems)
    return settings


def listening_port(environment: Mapping[str, str] | None = None) -> int:
    """The port alone, for the health check (which needs no other setting). Raises SettingsError."""
    read = _Reader(os.environ if environment is None else environment)
    port = read.get("EXECUTOR_SERVICE_PORT", 8084, parse_port)
    if read.problems:
        raise SettingsError(read.problems)
    return port


def listening_host(environment: Mapping[str, str] | None = None) -> str:
    """Where the health check finds the service: HOST, with wildcard addresses replaced by loopback."""
    host = (os.environ if environment is None else environment).get("HOST", "").strip() or "127.0.0.1"
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound


def parse_port(text: str) -> int:
    """A TCP port, 0 to 65535 (0: any free one). Raises ValueError."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError("must be a port number from 0 to 65535")
    return int(text)


def parse_duration(text: str) -> float:
    """Go-like durations such as 10s, 1m30s, 24h, and 30d; in seconds, above zero. Raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("must be a duration such as 10s, 1m30s, 24h or 30d")
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ValueError("must be longer than zero")
    return seconds


def parse_database(text: str) -> str:
    """A SQLAlchemy URL for SQLite or PostgreSQL, with the driver we bring. Raises ValueError without naming secrets."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _DRIVERS or rest.strip("/") in {"", ":memory:"}:
        raise ValueError("must be sqlite:///path or postgresql://user@host/database")
    return f"{_DRIVERS[scheme]}://{rest}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _caller_problems(settings: Settings) -> list[str]:
    """Who may call must be said beyond loopback, and not in two ways."""
    auth, token = settings.callers.auth, settings.token
    if auth == "token" and token is None and not is_loopback(settings.host):
        rule = "beyond loopback EXECUTOR_TOKEN or EXECUTOR_TOKEN_FILE is required, or EXECUTOR_AUTH says otherwise"
        return [f"HOST={settings.host!r}: {rule}"]
    if auth != "token" and token is not None:
        return [f"EXECUTOR_AUTH={auth!r}: EXECUTOR_TOKEN is set, but would not be asked for"]
    if auth == "tokenreview" and not settings.callers.callers:
        return ["EXECUTOR_CALLERS: must name who may call, such as system:serviceaccount:kubernaut:workflow-service"]
    return []


def _kubeconfig(read: _Reader) -> Path | None:
    """KUBECONFIG, else the service account of the pod we run in, else the user's own file, as kubectl does."""
    named = read.get("KUBECONFIG", None, Path)
    if named is not None or read.environment.get("KUBERNETES_SERVICE_HOST"):
        return named
    return Path.home() / ".kube" / "config"


def _mounted_namespace() -> str | None:
    """Where Kubernetes says it to every pod with a service account."""
    try:
        return _OWN_NAMESPACE.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _parse_text(text: str) -> str:
    if len(text) > 253:
        raise ValueError("must have at most 253 characters")
    return text


def _parse_level(text: str) -> str:
    if text.lower() not in _LEVELS:
        raise ValueError(f"must be one of {', '.join(_LEVELS)}")
    return _LEVELS[text.lower()]


def _parse_namespaces(text: str) -> frozenset[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is not a namespace name")
    return frozenset(names)


def _parse_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https URL")
    return text


def _parse_directory(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError("must be a directory")
    return Path(text)
