"""Builds what looks ahead: guardrails, who explains them, and simulations. A part of the composition."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from workflow_service.engine.explaining import Explainer
from workflow_service.engine.guards import Guards
from workflow_service.meaning import admission, policy_of
from workflow_service.planning.rules import Rules
from workflow_service.settings import Settings
from workflow_service.simulation.simulator import Around, Simulator
from workflow_service.sites import Sites
from workflow_service.store.database import Database


class Foresight:
    """What asks the guardrails, and who may only ask."""

    def __init__(
        self, settings: Settings, database: Database, sites: Sites, *, rules: Rules, clock: Callable[[], datetime]
    ) -> None:
        """Build everything, touch nothing outside.

        Raises:
            InvalidPolicy: the policy file breaks its format.
        """
        known, cluster = sites.own.catalogue, settings.cluster_name
        self.guards = Guards(database, policy=policy_of(settings), catalogue=known, cluster=cluster, clock=clock)
        self.explainer = Explainer(database, self.guards, lambda alert: sites.own.plan_for(alert, None))
        self.around = Around(database, self.guards, sites.of, admission(settings), rules.failures.patterns, clock)
        self.simulate = Simulator(self.around).simulate
