"""What settings mean to the domain."""

from __future__ import annotations

from datetime import timedelta

from workflow_service.domain.admission import Limits
from workflow_service.settings.tree import Intake


def admission(intake: Intake, *, cluster: str) -> Limits:
    """By what the intake decides; `cluster` is that of alerts that name none."""
    return Limits(
        cluster=cluster,
        cooldown=timedelta(seconds=intake.cooldown),
        failure_cooldown=timedelta(seconds=intake.failure_cooldown),
        longest_cooldown=timedelta(seconds=intake.longest_cooldown),
        storm_window=timedelta(seconds=intake.storm_window),
        storm_in_namespace=intake.storm_in_namespace,
        storm_in_cluster=intake.storm_in_cluster,
        group_by=intake.group_by,
    )
