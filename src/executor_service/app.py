"""The only composition root: settings -> objects -> a serving application; closes in reverse order."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog
import uvicorn
from fastapi import FastAPI

from executor_service import __version__
from executor_service.actions.catalogue import Catalogue
from executor_service.actions.locks import ObjectLocks
from executor_service.actions.settling import Settler
from executor_service.actions.world import Allowed, World
from executor_service.alertmanager import Alertmanager
from executor_service.api.application import application
from executor_service.api.auditing import Auditing
from executor_service.api.callers import Anybody, Authenticator, AuthenticatorAwayError, ReviewedToken, SharedToken
from executor_service.api.health import HealthRoutes, Probe
from executor_service.api.observing import Observing
from executor_service.api.routes import Routes
from executor_service.execution.acceptance import Acceptance
from executor_service.execution.drive import Driver
from executor_service.execution.executor import Executor, Times
from executor_service.execution.offering import Offering
from executor_service.execution.results import Results
from executor_service.guards.facts import Facts
from executor_service.guards.guard import Guard
from executor_service.guards.rules import ClosedNamespaces
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.errors import ApiError
from executor_service.kubernetes.reviewing import review_token
from executor_service.kubernetes.surroundings import Surroundings, look_around
from executor_service.ledger.audit import Audit
from executor_service.ledger.database import Lock, open_database
from executor_service.ledger.ledger import Ledger
from executor_service.notify.channels import Channels
from executor_service.notify.webhooks import Webhooks
from executor_service.prometheus import Prometheus
from executor_service.settings import Settings
from executor_service.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)
_GRACE_SECONDS = 15
_KEEP_ALIVE_SECONDS = 75
_LOCK_CHECK_SECONDS = 2.0


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: they would end the process by the signal instead of with exit code 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[FastAPI, Executor, Lock]]:
    """Everything open, in-doubt effects reserved, running actions resumed. Raises LedgerBusyError."""
    async with AsyncExitStack() as stack:
        engine, lock = await open_database(settings.database_url)
        stack.push_async_callback(lock.release)
        stack.push_async_callback(engine.dispose)
        ledger, audit = await Ledger.open(engine), Audit(engine)
        kube = KubeClient(settings.kubeconfig, timeout_seconds=settings.kubernetes_timeout)
        stack.push_async_callback(kube.close)
        metrics = Metrics()
        stack.callback(metrics.up.set, 0)
        catalogue = Catalogue()

        async def look() -> Surroundings:
            return await look_around(kube, settings.configured, settings.job_templates)

        offering = Offering(catalogue, look, settings=settings.configured)
        stack.push_async_callback(offering.close)
        far = _far(settings)
        stack.push_async_callback(far.close)
        settler = Settler(kube, ledger, audit, metrics, settings.cluster_name)
        world = _world(settings, settler, far=far, offering=offering)
        await world.guard.restore()
        executor = _executor(settings, world, offering, metrics)
        await executor.start()
        stack.push_async_callback(executor.close)
        cluster, undo = settings.cluster_name, settings.snapshot_retention
        results = Results(ledger, catalogue, cluster=cluster, undo_seconds=undo)
        observing = Observing(kube, far.prometheus)
        routes = Routes(executor, ledger, results, observing=observing, offering=offering, cluster=cluster)
        probes: dict[str, Probe] = {"kubernetes": lambda: _reachable(kube), "ledger": ledger.alive}
        health = HealthRoutes(probes, metrics, version=__version__)
        app = application(
            routes,
            Auditing(audit, cluster=cluster),
            health,
            authenticator=_authenticator(settings, kube),
            version=__version__,
        )
        yield app, executor, lock


@dataclass(frozen=True, slots=True)
class _Far:
    """Whom the executor talks to besides the API server."""

    channels: Channels
    alertmanager: Alertmanager
    prometheus: Prometheus
    webhooks: Webhooks

    async def close(self) -> None:
        """Close all connections."""
        for each in (self.channels, self.alertmanager, self.prometheus):
            await each.close()


def _far(settings: Settings) -> _Far:
    return _Far(
        Channels(webhook_url=settings.notify_webhook_url, slack_url=settings.slack_webhook_url),
        Alertmanager(settings.alertmanager_url),
        Prometheus(settings.prometheus_url),
        Webhooks(settings.webhook_allowed_hosts),
    )


def _world(settings: Settings, settler: Settler, *, far: _Far, offering: Offering) -> World:
    closed = ClosedNamespaces(settings.protected_namespaces, settings.policy)
    facts = Facts(settler.kube)
    guard = Guard(settings.policy, closed, facts=facts, ledger=settler.ledger, audit=settler.audit)

    async def around() -> Surroundings:
        await offering.current()
        return offering.here

    return World(
        kube=settler.kube,
        ledger=settler.ledger,
        locks=ObjectLocks(),
        settler=settler,
        channels=far.channels,
        guard=guard,
        irreversible=offering.catalogue.irreversible,
        undo_seconds=settings.snapshot_retention,
        undone_forwards=offering.catalogue.undone_forwards,
        around=around,
        alertmanager=far.alertmanager,
        prometheus=far.prometheus,
        webhooks=far.webhooks,
        allowed=Allowed(
            cluster=settings.cluster_name,
            secrets=settings.rotatable_secrets,
            readable=settings.readable_secrets,
            components=settings.network_components,
        ),
    )


def _executor(settings: Settings, world: World, offering: Offering, metrics: Metrics) -> Executor:
    cluster = settings.cluster_name
    acceptance = Acceptance(offering, cluster=cluster, guard=world.guard)
    driver = Driver(world, offering.catalogue, metrics, cluster=cluster)
    kept = (settings.ledger_retention, settings.snapshot_retention, settings.audit_retention)
    times = Times(settings.sync_wait, *kept)
    return Executor(world.ledger, acceptance, driver, locks=world.locks, metrics=metrics, times=times)


def _authenticator(settings: Settings, kube: KubeClient) -> Authenticator:
    if settings.token is not None:
        return SharedToken(settings.token, settings.token_file)
    if settings.callers.auth != "tokenreview":
        return Anybody()

    async def review(token: str) -> str | None:
        try:
            return await review_token(kube, token, settings.callers.audiences)
        except ApiError as error:
            _log.error("a caller cannot be authenticated", error=str(error))
            raise AuthenticatorAwayError from error

    allowed = settings.callers.callers
    return ReviewedToken(review, callers=allowed, believe_seconds=settings.callers.review_cache)


async def _reachable(kube: KubeClient) -> bool:
    try:
        await kube.version()
    except ApiError:
        return False
    return True


def listen(settings: Settings) -> socket.socket:
    """A bound socket. Raises OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family)


async def serve(settings: Settings, listening: socket.socket) -> bool:
    """Serve until SIGTERM or SIGINT (True) or until the ledger's lock is lost (False)."""
    async with running(settings) as (app, executor, lock):
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_SECONDS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        server = _Server(config)

        def stop() -> None:
            executor.begin_stop()
            server.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        guard = asyncio.create_task(_guard(lock, stop))
        host, port = listening.getsockname()[:2]
        _log.info("listening", host=host, port=port, version=__version__, cluster=settings.cluster_name)
        try:
            await server.serve(sockets=[listening])
        finally:
            guard.cancel()
        lost = guard.done() and not guard.cancelled()
        _log.info("stopped")
    return not lost


async def _guard(lock: Lock, stop: Callable[[], None]) -> None:
    """End the service when the right to be the active instance is lost: somebody else may have it now."""
    while await lock.held():  # noqa: ASYNC110 - the lock lives in a database, there is no event to wait for
        await asyncio.sleep(_LOCK_CHECK_SECONDS)
    _log.error("the lock of the ledger was lost; stopping, so that no two instances act")
    stop()
