"""What settings mean to the parts that are bound by them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from workflow_service.domain.admission_facts import Limits
from workflow_service.domain.clusters import Clusters
from workflow_service.domain.policy import Policy
from workflow_service.intake.watching import Expected, Watch
from workflow_service.live.in_process import InProcessBus
from workflow_service.live.on_redis import RedisBus
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.policy_file import PolicyFile
from workflow_service.planning.shelf import Shelf
from workflow_service.settings import Settings
from workflow_service.store import retention
from workflow_service.store.database import Database
from workflow_service.telemetry.intake import IntakeMetrics


def admission(settings: Settings) -> Limits:
    """By what the intake decides."""
    intake = settings.intake
    return Limits(
        clusters=clusters_of(settings),
        watchdogs=settings.alarm.watchdog_match,
        cooldown=timedelta(seconds=intake.cooldown),
        failure_cooldown=timedelta(seconds=intake.failure_cooldown),
        longest_cooldown=timedelta(seconds=intake.longest_cooldown),
        no_action_memory=timedelta(seconds=intake.no_action_memory),
        storm_window=timedelta(seconds=intake.storm_window),
        storm_in_namespace=intake.storm_in_namespace,
        storm_in_cluster=intake.storm_in_cluster,
        budget_in_namespace=intake.budget_in_namespace,
        budget_in_cluster=intake.budget_in_cluster,
        group_by=intake.group_by,
    )


def clusters_of(settings: Settings) -> Clusters:
    """The clusters that have an executor."""
    others = frozenset(settings.service_coordination.executors or ())
    return Clusters(settings.cluster_name, others, settings.intake.cluster_label)


def expected(settings: Settings) -> Expected:
    """What has to come, and to be decided, before an alarm is raised."""
    alarm = settings.alarm
    return Expected(
        watchdogs=alarm.watchdog_match,
        interval=timedelta(seconds=alarm.watchdog_interval),
        undecided=timedelta(seconds=alarm.undecided_after),
        source=settings.cluster_name,
    )


def watch_of(
    settings: Settings,
    database: Database,
    metrics: IntakeMetrics,
    channels: tuple[str, ...],
    *,
    clock: Callable[[], datetime],
) -> Watch:
    """Who notices that no alerts come any more, and has it told over these channels."""
    return Watch(database, expected(settings), metrics, channels=channels, clock=clock)


def keep(settings: Settings) -> retention.Keep:
    """How long what is over is remembered."""
    return retention.Keep(
        detail=timedelta(seconds=settings.orchestration.state_retention_period),
        deliveries=timedelta(seconds=settings.retention.deliveries),
        outcomes=timedelta(seconds=settings.retention.outcomes),
        audit=timedelta(seconds=settings.retention.audit),
    )


def bus_of(settings: Settings) -> RedisBus | InProcessBus:
    """What carries wake-ups between replicas."""
    redis = settings.storage.redis_url
    return RedisBus(redis) if redis else InProcessBus()


def shelf_of(settings: Settings, database: Database, *, clock: Callable[[], datetime]) -> Shelf:
    """Where templates are kept and found."""
    given = settings.templates
    return Shelf(database, directory=given.directory, shipped=given.shipped, clock=clock)


def limits_of(settings: Settings) -> PlanLimits:
    """The bounds for every plan."""
    return PlanLimits(
        max_parallel=settings.execution.max_parallel_actions,
        parallel_enabled=settings.execution.parallel_execution_enabled,
        action_timeout=settings.execution.action_timeout,
        coordination_timeout=settings.service_coordination.coordination_timeout,
        retry_attempts=settings.service_coordination.retry_attempts,
        rollback_enabled=settings.execution.rollback_enabled,
        recovery_enabled=settings.execution.recovery_enabled,
        workflow_timeout=settings.orchestration.workflow_execution_timeout,
    )


def policy_defaults(settings: Settings) -> Policy:
    """What holds where no policy file says otherwise."""
    own = settings.guardrails.own_namespace
    return Policy(confidence=settings.ai_integration.confidence_threshold, own_namespace=own)


def policy_of(settings: Settings) -> Callable[[], Policy]:
    """Gives the policy as it is now.

    Raises:
        InvalidPolicy: the policy file cannot be used.
    """
    path, defaults = settings.guardrails.policy_file, policy_defaults(settings)
    return PolicyFile(path, defaults) if path is not None else lambda: defaults
