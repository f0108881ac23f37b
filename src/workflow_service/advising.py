"""The advisor with all that it needs: its own way out, its bounds, and a look now and then whether it is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from workflow_service.clients.advisors.choosing import Choice, advisor
from workflow_service.clients.advisors.consulting import Consulting, Terms
from workflow_service.clients.advisors.line import Line
from workflow_service.clients.advisors.none import NoAdvisor
from workflow_service.clients.advisors.outcomes import Outcomes
from workflow_service.clients.session import SharedSession
from workflow_service.domain.projection import project
from workflow_service.engine.housekeeping import Chore
from workflow_service.ports import Advisor
from workflow_service.reporting import Reporting
from workflow_service.settings import Settings, current
from workflow_service.store.database import Database
from workflow_service.telemetry.metrics import Metrics

LOOK = 30.0  # seconds between looks, at most
REPORT = 5.0  # seconds between looks for runs that are over


class Advising:
    """What `app` starts and stops for the advisor; `advisor` is whom planning asks."""

    def __init__(
        self, settings: Settings, metrics: Metrics, database: Database, *, clock: Callable[[], datetime]
    ) -> None:
        ai = settings.ai_integration
        self._period = min(settings.orchestration.monitoring_interval, LOOK)
        self._session = SharedSession(ca_bundle=ai.ca_bundle or settings.ca_bundle)
        tell = (
            None if ai.outcomes_url is None else Outcomes(Line(ai.outcomes_url, self._session, key=lambda: None)).tell
        )
        self._reporting = Reporting(database, metrics.advice, tell, clock)
        self.advisor: Advisor = advisor(
            _choice(settings),
            self._session,
            key=current(settings, "ai_integration.api_key"),
            metrics=metrics.advice,
            on_breaker=partial(metrics.breaker_moved, downstream="advisor"),
        )
        self.project = partial(project, texts=ai.send_annotations)  # all that may be told about an alert

    def there(self) -> bool:
        """Whether somebody answered when last looked for."""
        return self.advisor.there

    def breakers(self) -> dict[str, str]:
        """Where its circuit breaker stands; none where nobody is asked."""
        return {"advisor": self.advisor.state} if isinstance(self.advisor, Consulting) else {}

    def chores(self) -> list[Chore]:
        """Looking, so that no question has to find out that nobody is there; and telling what came of advice."""
        if isinstance(self.advisor, NoAdvisor):
            return []
        return [
            Chore("look for an advisor", self._period, self.advisor.look),
            Chore("report what came of advice", REPORT, self._reporting.look),
        ]

    async def stop(self) -> None:
        """Drop its connections."""
        await self._session.close()


def _choice(settings: Settings) -> Choice:
    """Who is asked, where, and within which bounds."""
    ai = settings.ai_integration
    terms = Terms(ai.timeout, max(1, ai.max_retries), ai.confidence_threshold)
    return Choice(ai.provider, ai.endpoint, ai.model, ai.structured, terms)
