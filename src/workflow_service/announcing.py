"""Telling people, with all that it needs: the channels of the settings, and who brings the outbox over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from workflow_service.clients.channels.email import EmailChannel
from workflow_service.clients.channels.slack import SlackChannel
from workflow_service.clients.channels.webhook import WebhookChannel
from workflow_service.clients.session import SharedSession
from workflow_service.domain.addressing import Addressees
from workflow_service.domain.letters import Link
from workflow_service.domain.notices import Patience
from workflow_service.engine.housekeeping import Chore
from workflow_service.engine.notifying import Notifying
from workflow_service.notifying import postman
from workflow_service.notifying.links import Links
from workflow_service.notifying.postman import Postman
from workflow_service.ports import Channel
from workflow_service.settings import Settings, current
from workflow_service.store.database import Database
from workflow_service.store.outbox import Letter
from workflow_service.telemetry.notifications import NotificationMetrics


class Announcing:
    """What `app` needs for telling people; `notifying` is what drives go by, `alarms` the channels of alarms."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        session: SharedSession,
        metrics: NotificationMetrics,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        channels, alarms = channels_of(settings, session), alarm_channels(settings, session)
        self._period = settings.orchestration.monitoring_interval
        self.notifying, self.alarms = notifying_of(settings, tuple(channels)), tuple(alarms)
        self.link_secrets = current(settings, "notify.link_secret")
        self.link_readers = frozenset((settings.notify.link_identities or {}).values())
        links = self._links(settings)
        self._postman = Postman(
            database, {**channels, **alarms}, metrics, links=links.of if links else _none, clock=clock
        )
        self.healthy = self._postman.healthy

    def _links(self, settings: Settings) -> Links | None:
        given = settings.notify
        if given.public_url is None:
            return None
        return Links(given.public_url, secrets=self.link_secrets, identities=given.link_identities or {})

    def chores(self) -> Sequence[Chore]:
        """What is done again and again."""
        return [
            Chore("notify", postman.PERIOD, self._postman.deliver),
            Chore("measure notifications", self._period, self._postman.measure),
        ]


def channels_of(settings: Settings, session: SharedSession) -> Mapping[str, Channel]:
    """The channels that are configured, by name."""
    given = settings.notify
    found: dict[str, Channel] = {}
    if given.slack_url is not None:
        found["slack"] = SlackChannel(session, url=given.slack_url)
    if given.webhook_url is not None:
        secrets = current(settings, "notify.webhook_secret")
        found["webhook"] = WebhookChannel(session, url=given.webhook_url, secrets=secrets, name="NOTIFY_WEBHOOK_URL")
    if given.smtp_url is not None:
        url, sender = current(settings, "notify.smtp_url"), given.email_from or ""
        for recipient in given.email_to or ():
            mail = EmailChannel(url, sender=sender, recipient=recipient, ca_bundle=settings.ca_bundle)
            found[f"email:{recipient}"] = mail
    return found


def alarm_channels(settings: Settings, session: SharedSession) -> Mapping[str, Channel]:
    """Who is told of alarms about this service itself."""
    url = settings.alarm.url
    if url is None:
        return {}
    secrets = current(settings, "alarm.secret")
    return {"alarm": WebhookChannel(session, url=url, secrets=secrets, name="ALARM_URL")}


def notifying_of(settings: Settings, channels: tuple[str, ...]) -> Notifying:
    """Who is told of what, and how patiently."""
    given = settings.notify
    return Notifying(
        addressees=Addressees(channels, given.routes, given.escalate_to),
        patience=Patience(given.warn_at, timedelta(seconds=given.escalate_after)),
        try_for=timedelta(seconds=given.try_for),
        cluster=settings.cluster_name,
    )


def _none(_letter: Letter) -> Sequence[Link]:
    return ()
