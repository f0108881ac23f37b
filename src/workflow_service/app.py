"""The composition root: settings -> objects -> FastAPI app. Starts in order, closes in reverse order."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import structlog
from fastapi import FastAPI

from workflow_service import __version__, garbage
from workflow_service.advising import Advising
from workflow_service.announcing import Announcing
from workflow_service.api import server as http
from workflow_service.api.alerts import Alerts
from workflow_service.api.application import Parts, application
from workflow_service.api.controls import Controls
from workflow_service.api.events import Events
from workflow_service.api.feed import Feed
from workflow_service.api.halting import Declaring
from workflow_service.api.health import Health
from workflow_service.api.workflows import Workflows
from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import WorkflowServiceError
from workflow_service.engine.drive import Driver
from workflow_service.engine.handover import CONTROL, MANUAL, PLANNING, RUNNING, waker
from workflow_service.engine.housekeeping import Chore, Housekeeping
from workflow_service.engine.lease import Lease
from workflow_service.engine.listening import Listening
from workflow_service.engine.means import Means
from workflow_service.engine.on_dbos import DbosEngine, Polled
from workflow_service.engine.orders import TOPIC, Orders
from workflow_service.engine.reconcile import Reconciler
from workflow_service.engine.ringing import Bell
from workflow_service.engine.slots import at_the_door
from workflow_service.entrance import Entrance, tls_of
from workflow_service.foresight import Foresight
from workflow_service.intake.inbox import Inbox
from workflow_service.intake.intake import Heard, Intake
from workflow_service.intake.reception import Reception
from workflow_service.live.on_redis import RedisBus
from workflow_service.meaning import admission, bus_of, shelf_of, watch_of
from workflow_service.planning.rule_file import read_rules
from workflow_service.ports import Executor
from workflow_service.right_of_way import RightOfWay
from workflow_service.settings import Settings, current
from workflow_service.sites import Sites, Surroundings
from workflow_service.store import migrations
from workflow_service.store.data_lock import DataLock
from workflow_service.store.database import Database
from workflow_service.store.journal import Journal
from workflow_service.telemetry.log import configure
from workflow_service.telemetry.metrics import Metrics
from workflow_service.upkeep import Upkeep

POLLING = 0.2  # seconds between looks into each queue, idle or not; who need not wait for a slot does not queue
CONTROL_SLOTS = 20  # commands heard at once for executions that wait for a slot of their own
MANUAL_SLOTS = 10  # retries and rollbacks by hand at once, beside MAX_CONCURRENT_WORKFLOWS from alerts
PLANNING_SLOTS = 50  # plans made at once per replica; waiting for one never takes an execution's slot

now = partial(datetime.now, UTC)  # the wall clock
log = structlog.get_logger(__name__)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit code.

    Raises:
        WorkflowServiceError: the service cannot start; the message says why.
    """
    configure(settings.log_level)
    replica = Replica(settings)
    try:
        address = http.Address(settings.host, settings.service_port, tls_of(settings))
        http.serve(replica.app, address, on_drain=replica.drain, on_listening=lambda _port: garbage.search_seldom())
    except http.CannotServe as error:
        raise replica.failure or error from None
    return 0


class Replica:
    """All parts of one replica. `app` is its HTTP side; the app's lifespan starts and stops the rest."""

    def __init__(self, settings: Settings, *, executor: Executor | None = None) -> None:
        """Build everything, touch nothing outside. `executor` None: the one at EXECUTOR_SERVICE_URL, over HTTP.

        Raises:
            InvalidRules, InvalidPolicy: the rule file or the policy file breaks its format.
        """
        self._settings, self._started = settings, time.monotonic()
        self.failure: WorkflowServiceError | None = None  # why the start failed
        self.draining = asyncio.Event()
        self.metrics = Metrics()
        self.way = RightOfWay()
        self.bus = bus_of(settings)
        self.database = Database(settings.storage.url)
        replica = f"{settings.cluster_name}-{uuid.uuid4().hex[:12]}"
        self.lease = Lease(self.database, replica=replica, ttl=settings.orchestration.lease_ttl)
        self.session = SharedSession(ca_bundle=settings.ca_bundle)
        self.advising = Advising(settings, self.metrics, self.database, clock=now)
        self.announcing = Announcing(settings, self.database, self.session, self.metrics.notifications, clock=now)
        self._rules = read_rules(settings.intake.rules_file)
        self.shelf = shelf_of(settings, self.database, clock=now)
        self.sites = Sites(self._surroundings(), self._rules, executor=executor)
        slots = {
            CONTROL: CONTROL_SLOTS,
            PLANNING: PLANNING_SLOTS,
            MANUAL: MANUAL_SLOTS,
            RUNNING: settings.orchestration.max_concurrent_workflows,
        }
        self.engine = DbosEngine(
            self.database.url,
            replica=replica,
            queues={queue: Polled(at_the_door(number), every=POLLING) for queue, number in slots.items()},
        )
        self.journal = Journal(self.database, wake=waker(self.engine, now))
        self.listening = Listening(self.database, self.bus, replica=replica)
        self.feed = Feed(self.database, self.bus, clock=now)
        self.foresight = Foresight(settings, self.database, self.sites, rules=self._rules, clock=now)
        self.driver = Driver(self._means(replica), slots)
        self.reconciler = Reconciler(
            self.database,
            self.engine,
            self.lease,
            driving=self.driver.driving,
            interval=settings.orchestration.monitoring_interval,
        )
        self.intake = Intake(
            self.database,
            self.engine,
            limits=admission(settings),
            clock=now,
            starter=self.driver,
            heard=Heard(waker(self.engine, now, queue=CONTROL), partial(self.bus.publish, TOPIC)),
        )
        self.reception = self._reception()
        self.watch = watch_of(settings, self.database, self.metrics.intake, self.announcing.alarms, clock=now)
        self.entrance = Entrance(settings, self.database, self.session, clock=now)
        self.housekeeping = Housekeeping(self._chores())
        self.app = application(self._parts(), metrics=self.metrics, lease=self.lease, lifespan=self.lifespan)

    def _parts(self) -> Parts:
        return Parts(
            workflows=Workflows(self.reception, self.database, self.bus, self._settings.intake.execute_wait),
            alerts=self._alerts(),
            controls=Controls(self._orders(), self.database),
            events=Events(self.feed, self.database, self.metrics.streams),
            health=self._health(),
            access=self.entrance.access,
            shelf=self.shelf,
            explainer=self.foresight.explainer,
            simulate=self.foresight.simulate,
            declaring=Declaring(self.database, now, self.foresight.guards.look_again),
            link_secrets=self.announcing.link_secrets,
            link_readers=self.announcing.link_readers,
        )

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Start in order; on the way out stop in reverse, so that nothing is used after it was closed.

        Raises:
            DataDirectoryTaken: another process has the embedded database.
            StoreUnavailable: the database is away.
        """
        async with AsyncExitStack() as stack:
            try:
                await self._start(stack)
            except WorkflowServiceError as error:
                self.failure = error
                raise
            log.info("workflow-service is up", version=__version__, replica=self.lease.replica)
            yield

    async def _start(self, stack: AsyncExitStack) -> None:
        if self.database.sqlite:
            lock = DataLock(self._settings.storage.data_dir)
            lock.acquire()
            stack.callback(lock.release)
        stack.push_async_callback(self.database.close)
        stack.push_async_callback(self.session.close)
        stack.push_async_callback(self.advising.stop)
        await migrations.upgrade(self.database)
        if isinstance(self.bus, RedisBus):
            await self.bus.start()
            stack.push_async_callback(self.bus.close)
        await self.shelf.start()
        for part in (self.lease, self.journal, self.listening, self.entrance):
            await part.start()
            stack.push_async_callback(part.stop)
        await self.engine.start(self.driver.deliver)
        stack.push_async_callback(self.engine.stop)
        stack.push_async_callback(self.driver.drain)
        for chores in (self.reconciler, self.housekeeping):
            await chores.start()
            stack.push_async_callback(chores.stop)
        self.metrics.up(True)
        stack.callback(self.drain)

    def drain(self) -> None:
        """Be ready for nothing new; what runs goes on until the lifespan ends."""
        self.draining.set()
        self.feed.drain()
        self.metrics.up(False)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            self._settings, self.database, self.lease, self.session, self.metrics, self.shelf, self.advising, now
        )

    def _means(self, replica: str) -> Means:
        return Means(
            database=self.database,
            journal=self.journal,
            engine=self.engine,
            site=self.sites.own,
            site_of=self.sites.of,
            way=self.way,
            bus=self.bus,
            bell=Bell(self.bus),
            listening=self.listening,
            metrics=self.metrics,
            guards=self.foresight.guards,
            notifying=self.announcing.notifying,
            patterns=self._rules.failures.patterns,
            replica=replica,
            clock=now,
            jitter=random.random,
        )

    def _reception(self) -> Reception:
        given = self._settings.intake
        inbox = Inbox(self.way, most=given.max_pending, most_undecided=given.max_undecided)
        return Reception(self.intake, inbox, self.metrics.intake)

    def _alerts(self) -> Alerts:
        secrets = current(self._settings, "access.webhook_secrets")
        return Alerts(self.reception, self.database, self.metrics.intake, secrets)

    def _orders(self) -> Orders:
        return Orders(self.database, self.engine, self.bus, catalogue=self.sites.catalogue, clock=now)

    def _chores(self) -> list[Chore]:
        upkeep = Upkeep(
            self._settings,
            self.database,
            self.engine,
            self.intake,
            self.reception,
            self.watch,
            self.shelf,
            self.metrics,
            now,
        )
        return [
            *upkeep.chores(),
            *self.entrance.chores(),
            *self.advising.chores(),
            *self.announcing.chores(),
        ]

    def _health(self) -> Health:
        async def ready() -> bool:
            return not self.draining.is_set() and await self.database.ping()

        async def living() -> bool:
            return self.lease.is_held

        async def can_roll_back() -> bool:
            return self._settings.execution.rollback_enabled and await self.sites.healthy()

        return Health(
            components={
                "orchestrator": living,
                "executor": self.sites.healthy,
                "state_manager": self.database.ping,
                "monitor": living,
                "rollback": can_roll_back,
                "watchdog": self.watch.quiet,
            },
            others={"redis": self.bus.healthy, "notifications": self.announcing.healthy},
            executors={cluster: one.healthy for cluster, one in self.sites.executors.items()},
            breakers=lambda: {**self.sites.breakers(), **self.advising.breakers()},
            ready=ready,
            metrics=self.metrics,
            ai_integration=self.advising.there,
            version=__version__,
            started=self._started,
        )
