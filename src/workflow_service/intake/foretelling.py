"""What would become of an alert if it came now: the rules of admission asked, and nothing stored."""

from __future__ import annotations

from datetime import datetime

from workflow_service.domain.admission import Choice, choose
from workflow_service.domain.admission_facts import Limits, about
from workflow_service.domain.alert import Alert, fingerprint
from workflow_service.domain.silence import Matchers
from workflow_service.intake.knowing import known_of
from workflow_service.store.database import Database


async def foretell(database: Database, alert: Alert, *, limits: Limits, matchers: Matchers, now: datetime) -> Choice:
    """The answer of the rules; `matchers` are those of earlier questions.

    Raises:
        StoreUnavailable: the database is away.
    """
    what = about(alert, fingerprint(alert), limits)
    async with database.snapshot() as connection:
        known = await known_of(connection, [what], limits=limits, matchers=matchers, now=now)
    return choose(alert, what, known, limits, now)
