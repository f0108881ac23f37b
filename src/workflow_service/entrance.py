"""Builds what stands around the routes: who is asked who they are, who is told of alarms. A part of the composition."""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from workflow_service.access.audit_log import AuditLog
from workflow_service.access.authenticator import Authenticator
from workflow_service.access.jwks import Jwks
from workflow_service.access.keyring import Keyring
from workflow_service.access.rates import Rates
from workflow_service.access.remembered import Finding, Remembered
from workflow_service.access.reviews import Reviews, User
from workflow_service.access.tokens import Issuer, Tokens
from workflow_service.api.gate import Access
from workflow_service.api.tls import Certificate
from workflow_service.clients.alarms import AlarmWebhook
from workflow_service.clients.identity import HttpIssuer, HttpTokenReview
from workflow_service.clients.session import SharedSession
from workflow_service.domain.permissions import About
from workflow_service.engine.housekeeping import Chore
from workflow_service.intake.watching import Watch
from workflow_service.meaning import expected
from workflow_service.settings import SecretFile, Settings, current
from workflow_service.store import api_keys, audit, inbound, kept_alerts, queries, silences
from workflow_service.store.database import Database
from workflow_service.telemetry.intake import IntakeMetrics

KEYS_NOTED = 60.0  # seconds between notes of which keys were used
AUDIT_FORGOTTEN = 600.0  # seconds between looks for what the audit log need not remember any more
FAILURES_PER_SECOND, FAILURES_AT_ONCE = 1.0, 300  # from one address, before it gets 429 for 401


class Entrance:
    """One replica's gate and what it needs beside the requests."""

    def __init__(
        self, settings: Settings, database: Database, session: SharedSession, *, clock: Callable[[], datetime]
    ) -> None:
        """`session`: to whom we speak elsewhere too; the API server that reviews tokens has a trust of its own."""
        self._settings, self._database, self._clock = settings, database, clock
        self._session = session
        given = settings.kubernetes
        secure = given.api_url.startswith("https:")
        self._cluster = SharedSession(ca_bundle=Path(given.ca_file) if secure else None)
        self._keys = Keyring(partial(api_keys.every, database), clock=clock, monotonic=time.monotonic)
        self._audit = AuditLog(partial(audit.append, database))
        self.access = Access(
            self._authenticator(settings.auth_mode or frozenset()),
            namespace_of=partial(queries.namespace_of, database),
            sights={
                About.ALERT: partial(kept_alerts.in_sight, database),
                About.DELIVERY: partial(inbound.in_sight, database),
                About.SILENCE: partial(silences.in_sight, database),
            },
            rates=Rates(settings.access.rate_limit, settings.access.rate_burst),
            failures=Rates(FAILURES_PER_SECOND, FAILURES_AT_ONCE),
            audit=self._audit,
            webhook_secrets=current(settings, "access.webhook_secrets"),
        )

    async def start(self) -> None:
        """Take writes into the audit log."""
        await self._audit.start()

    async def stop(self) -> None:
        """Write what is left, and close what was opened here."""
        await self._audit.stop()
        await self._cluster.close()

    def chores(self) -> Sequence[Chore]:
        """What is done again and again."""
        return [
            Chore("note keys", KEYS_NOTED, self._note_keys),
            Chore("forget audit", AUDIT_FORGOTTEN, self._forget_audit),
        ]

    def _authenticator(self, modes: frozenset[str]) -> Authenticator | None:
        if not modes:
            return None
        tokens = self._tokens() if "jwt" in modes else None
        reviews = self._reviews() if "kubernetes" in modes else None
        find_out = _whichever(tokens, reviews)
        return Authenticator(
            keys=self._keys if "keys" in modes else None,
            tokens=Remembered(find_out, monotonic=time.monotonic) if find_out is not None else None,
        )

    def _tokens(self) -> Tokens:
        oidc = self._settings.oidc
        issuer = oidc.issuer or ""  # given: the settings see to it
        keys = HttpIssuer(self._session, issuer=issuer, jwks_url=oidc.jwks_url).keys
        meaning = Issuer(
            issuer,
            oidc.audience or "",
            algorithms=oidc.algorithms,
            name_claim=oidc.name_claim,
            roles_claim=oidc.roles_claim,
            roles=oidc.roles or {},
        )
        return Tokens(meaning, Jwks(keys, monotonic=time.monotonic))

    def _reviews(self) -> Reviews:
        given = self._settings.kubernetes
        own = SecretFile(Path(given.token_file))
        server = HttpTokenReview(self._cluster, url=given.api_url, audience=given.audience, token=own)

        async def review(token: str) -> User | None:
            found = await server.review(token)
            return User(*found) if found is not None else None

        return Reviews(review, given.roles or {}, monotonic=time.monotonic)

    async def _forget_audit(self) -> None:
        kept = timedelta(seconds=self._settings.retention.audit)
        await audit.forget(self._database, written_before=self._clock() - kept)

    async def _note_keys(self) -> None:
        if used := self._keys.used():
            await api_keys.used(self._database, used, now=self._clock())


def _whichever(tokens: Tokens | None, reviews: Reviews | None) -> Callable[[str], Awaitable[Finding]] | None:
    """Who can tell whose token it is: the issuer that it names, if it is ours, else Kubernetes."""
    if tokens is None or reviews is None:
        one = tokens or reviews
        return one.find_out if one is not None else None

    async def find_out(token: str) -> Finding:
        return await (tokens if tokens.ours(token) else reviews).find_out(token)

    return find_out


def watch_of(
    settings: Settings,
    database: Database,
    session: SharedSession,
    metrics: IntakeMetrics,
    *,
    clock: Callable[[], datetime],
) -> Watch:
    """Who notices that no alerts come any more, and tells of it."""
    url = settings.alarm.url
    told = AlarmWebhook(session, url=url, secrets=current(settings, "alarm.secret")).tell if url else None
    return Watch(database, expected(settings), metrics, tell=told, clock=clock)


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """What our own port speaks; None: no TLS."""
    chain, key = settings.tls.cert_file, settings.tls.key_file
    return Certificate(chain, key).context if chain is not None and key is not None else None
