"""Every setting, once: its environment name, its place in the YAML file, its default and its rule.

An attribute's path in `Settings` is its path under the file's root key `workflow`: `execution.action_timeout` is
`workflow.execution.action_timeout`. Its environment name stands beside it. Durations are seconds here.
"""

# ruff: noqa: RUF009 - `setting` returns dataclasses.field()
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from workflow_service.domain.watchdog import Watchdog
from workflow_service.settings import neighbours, rules
from workflow_service.settings.declaring import Show, setting
from workflow_service.settings.identity import Kubernetes, Oidc, Tls
from workflow_service.settings.notify import Notify


@dataclass(frozen=True, slots=True)
class Orchestration:
    """Bounds of executions."""

    max_concurrent_workflows: int = setting("MAX_CONCURRENT_WORKFLOWS", "50", rules.whole(1, 10_000))
    workflow_execution_timeout: float | None = setting(  # None: auto, by the number of steps
        "WORKFLOW_EXECUTION_TIMEOUT", "600s", rules.auto_or_duration
    )
    state_retention_period: float = setting("STATE_RETENTION_PERIOD", "24h", rules.duration("1m", "87600h"))
    monitoring_interval: float = setting("MONITORING_INTERVAL", "30s", rules.duration("100ms", "1h"))
    lease_ttl: float = setting("LEASE_TTL", "3s", rules.duration("500ms", "1m"))


@dataclass(frozen=True, slots=True)
class AiIntegration:
    """The advisor. `timeout` is the whole budget of one question, `max_retries` the most answers asked for in it."""

    provider: str = setting("AI_PROVIDER", "holmesgpt", rules.one_of("holmesgpt", "kubernaut", "openai", "none"))
    endpoint: str = setting(
        "AI_SERVICE_URL",
        "http://ai-service:8082",
        rules.url("http", "https"),
        also="service_coordination.ai_service_url",
    )
    model: str = setting(
        "AI_MODEL", "hf://ggml-org/gpt-oss-20b-GGUF", rules.word(r"\S{1,200}", "a name without spaces")
    )
    timeout: float = setting("AI_TIMEOUT", "60s", rules.duration("100ms", "1h"))
    max_retries: int = setting("AI_MAX_RETRIES", "3", rules.whole(0, 20))
    confidence_threshold: float = setting("AI_CONFIDENCE_THRESHOLD", "0.7", rules.fraction)
    structured: str = setting("AI_STRUCTURED", "auto", rules.one_of("auto", "json_schema", "json_object", "prompt"))
    send_annotations: bool = setting("AI_SEND_ANNOTATIONS", "false", rules.truth)
    api_key: str | None = setting(
        "AI_API_KEY", None, rules.word(r"[!-~]{1,4096}", "printable ASCII without spaces"), show=Show.MASK
    )
    outcomes_url: str | None = setting("AI_OUTCOMES_URL", None, rules.url("http", "https"))
    ca_bundle: Path | None = setting("AI_CA_BUNDLE", None, rules.ca_bundle)  # None: as for everything else


@dataclass(frozen=True, slots=True)
class ServiceCoordination:
    """The executor and how long one step may keep it busy, all attempts included."""

    executor_service_url: str = setting(
        "EXECUTOR_SERVICE_URL", "http://executor-service:8084", rules.url("http", "https")
    )
    executor_token: str | None = setting(
        "EXECUTOR_TOKEN", None, rules.word(r"[!-~]{1,4096}", "printable ASCII without spaces"), show=Show.MASK
    )
    executors: Mapping[str, str] | None = setting("EXECUTORS", None, neighbours.named_urls)  # of other clusters
    executor_token_files: Mapping[str, Path] | None = setting("EXECUTOR_TOKEN_FILES", None, neighbours.named_files)
    coordination_timeout: float = setting("COORDINATION_TIMEOUT", "300s", rules.duration("1s"))
    retry_attempts: int = setting("RETRY_ATTEMPTS", "3", rules.whole(0, 20))


@dataclass(frozen=True, slots=True)
class Execution:
    """How the steps of one execution run."""

    parallel_execution_enabled: bool = setting("PARALLEL_EXECUTION_ENABLED", "true", rules.truth)
    max_parallel_actions: int = setting("MAX_PARALLEL_ACTIONS", "5", rules.whole(1, 100))
    action_timeout: float = setting("ACTION_TIMEOUT", "120s", rules.duration("1s"))
    rollback_enabled: bool = setting("ROLLBACK_ENABLED", "true", rules.truth)
    recovery_enabled: bool = setting("RECOVERY_ENABLED", "true", rules.truth)


@dataclass(frozen=True, slots=True)
class Storage:
    """Where rows live; Redis only carries what may be lost."""

    data_dir: Path = setting("DATA_DIR", "data", rules.directory)
    database_url: str | None = setting(
        "DATABASE_URL", None, rules.database, show=Show.MASK_PASSWORD
    )  # None: SQLite in data_dir
    redis_url: str | None = setting("REDIS_URL", None, rules.url("redis", "rediss", "unix"), show=Show.MASK_PASSWORD)

    @property
    def url(self) -> str:
        """The database in use: `database_url`, or the embedded SQLite file in `data_dir`."""
        return self.database_url or f"sqlite:///{self.data_dir}/workflow-service.sqlite"


@dataclass(frozen=True, slots=True)
class Access:
    """What holds where callers are asked who they are. Limits are per replica; what brings alerts has none."""

    rate_limit: int = setting("RATE_LIMIT", "50", rules.whole(1, 100_000))  # requests per second, lastingly
    webhook_secrets: tuple[bytes, ...] | None = setting("WEBHOOK_SECRETS", None, rules.webhook_secrets, show=Show.MASK)
    rate_burst: int = setting("RATE_BURST", "200", rules.whole(1, 100_000))  # requests at once


@dataclass(frozen=True, slots=True)
class Intake:
    """How alerts are taken and planned."""

    execute_wait: float = setting("EXECUTE_WAIT", "60s", rules.duration("0s", "1h"))
    cooldown: float = setting("INTAKE_COOLDOWN", "5m", rules.duration("0s", "24h"))
    failure_cooldown: float = setting("FAILURE_COOLDOWN", "1m", rules.duration("0s", "24h"))
    longest_cooldown: float = setting("LONGEST_COOLDOWN", "1h", rules.duration("0s", "24h"))
    no_action_memory: float = setting("NO_ACTION_MEMORY", "6h", rules.duration("0s", "24h"))
    storm_window: float = setting("STORM_WINDOW", "1m", rules.duration("1s", "1h"))
    storm_in_namespace: int = setting("STORM_IN_NAMESPACE", "100", rules.whole(0, 1_000_000))
    storm_in_cluster: int = setting("STORM_IN_CLUSTER", "500", rules.whole(0, 1_000_000))
    budget_in_namespace: int = setting("BUDGET_IN_NAMESPACE", "600", rules.whole(0, 1_000_000))  # workflows per hour
    budget_in_cluster: int = setting("BUDGET_IN_CLUSTER", "3000", rules.whole(0, 1_000_000))
    cluster_label: str = setting("CLUSTER_LABEL", "cluster", rules.label)  # names the cluster of an alert
    group_by: tuple[str, ...] = setting("GROUP_BY", "", rules.labels)
    rules_file: Path | None = setting("RULES_FILE", None, rules.file)  # None: the rules that come with the service
    max_pending: int = setting("INTAKE_MAX_PENDING", "1000", rules.whole(1, 100_000))
    max_undecided: int = setting("INTAKE_MAX_UNDECIDED", "100000", rules.whole(1, 100_000_000))  # alerts


@dataclass(frozen=True, slots=True)
class Alarm:
    """When this service tells somebody outside that it does not hear or decide any more, and whom."""

    watchdog_match: tuple[Watchdog, ...] = setting("WATCHDOG_MATCH", "alertname=Watchdog", neighbours.watchdogs)
    watchdog_interval: float = setting("WATCHDOG_INTERVAL", "0s", rules.duration("0s", "24h"))  # 0: nobody is missed
    undecided_after: float = setting("UNDECIDED_ALARM", "5m", rules.duration("0s", "24h"))  # 0: never
    url: str | None = setting("ALARM_URL", None, neighbours.address, show=Show.MASK)  # webhook URLs may hold a secret
    secret: tuple[bytes, ...] | None = setting("ALARM_SECRET", None, rules.webhook_secrets, show=Show.MASK)


@dataclass(frozen=True, slots=True)
class Templates:
    """Runbooks that alerts lead to, beside the rules."""

    directory: Path | None = setting("TEMPLATES_DIR", None, rules.folder)  # None: only those that are shipped
    shipped: bool = setting("SHIPPED_TEMPLATES", "true", rules.truth)


@dataclass(frozen=True, slots=True)
class Guardrails:
    """What plans may do by themselves."""

    policy_file: Path | None = setting("POLICY_FILE", None, rules.file)  # None: the built-in policy
    own_namespace: str | None = setting(  # None: unknown
        "POD_NAMESPACE", None, rules.word(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a namespace")
    )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is over is remembered, beside `orchestration.state_retention_period`."""

    deliveries: float = setting("DELIVERY_RETENTION", "720h", rules.duration("1h", "87600h"))
    outcomes: float = setting("OUTCOME_RETENTION", "720h", rules.duration("24h", "87600h"))  # the longest cool-down
    audit: float = setting("AUDIT_RETENTION", "720h", rules.duration("1h", "87600h"))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value came from."""

    text: str  # as written there, never to be printed unmasked
    source: str  # such as "env", "env EXECUTOR_TOKEN_FILE" or "config/workflow-service.yaml:7"
    file: Path | None = None  # that holds the value, where it came from a `<NAME>_FILE`


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings. `origins` tells, by path, how a value that is no default was written and where."""

    service_port: int = setting("WORKFLOW_SERVICE_PORT", "8083", rules.whole(0, 65_535))  # 0: any free port
    host: str = setting("HOST", "127.0.0.1", rules.word(r"[A-Za-z0-9.:_-]{1,253}", "an address or a host name"))
    auth_mode: frozenset[str] | None = setting("AUTH_MODE", None, rules.modes)  # None: none was said; empty: `none`
    log_level: str = setting(
        "LOG_LEVEL", "info", rules.one_of("trace", "debug", "info", "warning", "warn", "error", "fatal", "panic")
    )
    cluster_name: str = setting(
        "CLUSTER_NAME", "default", rules.word(r"[A-Za-z0-9._-]{1,63}", "1 to 63 of A-Z a-z 0-9 . _ -")
    )
    ca_bundle: Path | None = setting("CA_BUNDLE", None, rules.ca_bundle)
    orchestration: Orchestration = field(default_factory=Orchestration)
    ai_integration: AiIntegration = field(default_factory=AiIntegration)
    service_coordination: ServiceCoordination = field(default_factory=ServiceCoordination)
    execution: Execution = field(default_factory=Execution)
    storage: Storage = field(default_factory=Storage)
    access: Access = field(default_factory=Access)
    tls: Tls = field(default_factory=Tls)
    oidc: Oidc = field(default_factory=Oidc)
    kubernetes: Kubernetes = field(default_factory=Kubernetes)
    intake: Intake = field(default_factory=Intake)
    alarm: Alarm = field(default_factory=Alarm)
    notify: Notify = field(default_factory=Notify)
    templates: Templates = field(default_factory=Templates)
    guardrails: Guardrails = field(default_factory=Guardrails)
    retention: Retention = field(default_factory=Retention)
    origins: Mapping[str, Origin] = field(default_factory=dict, repr=False, compare=False)
