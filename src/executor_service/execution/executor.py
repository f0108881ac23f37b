"""Accepting, joining, cancelling and resuming actions. One task per running row."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

import structlog

from executor_service.actions.locks import ObjectLocks
from executor_service.actions.run import Run
from executor_service.contract import Order
from executor_service.execution.acceptance import Acceptance, RejectedOrderError, tombstone
from executor_service.execution.drive import Driver
from executor_service.ledger.ledger import Ledger
from executor_service.ledger.rows import TOMBSTONE, ActionRow
from executor_service.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)
_STOP_PATIENCE_SECONDS = 8.0
_SWEEP_SECONDS = 5.0
_PRUNE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Times:
    """How long callers wait for an answer; how long rows, raw objects and the audit are kept. In seconds."""

    sync_wait: float
    ledger_retention: float
    snapshot_retention: float
    audit_retention: float


class Executor:
    """The one door through which actions begin and end."""

    def __init__(
        self,
        ledger: Ledger,
        acceptance: Acceptance,
        driver: Driver,
        *,
        locks: ObjectLocks,
        metrics: Metrics,
        times: Times,
    ) -> None:
        self._ledger = ledger
        self._acceptance = acceptance
        self._driver = driver
        self._locks = locks
        self._metrics = metrics
        self._times = times
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._ended_lately: set[str] = set()
        self._stopping = False
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reserve every object in doubt for its action, then resume all running rows. Call before serving."""
        for intent in await self._ledger.in_doubt():
            self._locks.reserve(intent.write.ref, intent.key)
        for row in await self._ledger.running():
            await self._resume(row)
        self._sweeper = asyncio.create_task(self._sweep(), name="sweeper")

    async def submit(self, order: Order) -> ActionRow:
        """Start the action or join it; its row when it ended within the waiting time, else the running row.

        Raises RejectedOrderError (unknown type, bad parameters, a key that belongs to another order).
        """
        spec, order = await self._acceptance.check(order)
        row = self._acceptance.row(order, spec)
        if await self._ledger.insert(row):
            if row.final:
                self._metrics.actions.labels(row.type, row.status.value).inc()
                return row
            await self._launch(row, new=True)
            return await self._joined(row)
        known = await self._known(order.key)
        if known.type == TOMBSTONE:
            return known
        if known.fingerprint != row.fingerprint:
            detail = f"key {order.key!r} belongs to another order (of type {known.type})"
            rule = "the same key means the same type, parameters and dry_run"
            raise RejectedOrderError(detail, [{"field": "Idempotency-Key", "value": order.key, "rule": rule}])
        return await self._joined(known)

    async def cancel(self, key: str) -> ActionRow:
        """Refuse an unknown key for ever, ask a running action to stop, or answer how it ended."""
        if await self._ledger.insert(grave := tombstone(key)):
            return grave
        row = await self._known(key)
        if row.final:
            return row
        await self._ledger.request_cancel(key)
        if run := self._runs.get(key):
            run.cancel.set()
        return await self._joined(row)

    def begin_stop(self) -> None:
        """Let every action halt at its next safe point; waiting callers get their answer then."""
        self._stopping = True
        for run in self._runs.values():
            run.stopping.set()

    async def close(self) -> None:
        """Stop. What does not reach a safe point in time is cut and settled after the next start."""
        self.begin_stop()
        tasks = [*self._tasks.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_PATIENCE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    async def _joined(self, row: ActionRow) -> ActionRow:
        task = self._tasks.get(row.key)
        if task is not None:
            await asyncio.wait({task}, timeout=self._times.sync_wait)
        return await self._known(row.key)

    async def _known(self, key: str) -> ActionRow:
        row = await self._ledger.get(key)
        if row is None:
            raise LookupError(f"key {key!r} vanished from the ledger")
        return row

    async def _launch(self, row: ActionRow, *, new: bool = False) -> None:
        run = await self._driver.run_of(row, new=new)
        if row.key in self._tasks:
            return
        if self._stopping:
            run.stopping.set()
        self._runs[row.key] = run
        task = asyncio.create_task(self._driver.drive(row, run), name=f"action {row.key}")
        self._tasks[row.key] = task
        self._metrics.running.set(len(self._tasks))
        task.add_done_callback(lambda done: self._ended(row.key, done))

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        self._ended_lately.add(key)
        self._runs.pop(key, None)
        self._metrics.running.set(len(self._tasks))
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the ledger could not record an action; it is driven again", key=key, error=str(error))

    async def _resume(self, row: ActionRow) -> None:
        _log.info("action resumed", key=row.key, action=row.type)
        await self._launch(row)

    async def _resume_lost(self) -> None:
        """Drive rows that no task drives: neither young ones (about to be launched) nor those that ended meanwhile."""
        self._ended_lately.clear()
        for row in await self._ledger.running():
            young = row.created_at > time.time() - _SWEEP_SECONDS
            if not (young or row.key in self._tasks or row.key in self._ended_lately):
                await self._resume(row)

    async def _sweep(self) -> None:
        """Drive rows that lost their task (a ledger outage), and forget what is older than its retention."""
        pruned_at = 0.0
        while True:
            try:
                if not self._stopping:
                    await self._resume_lost()
                if time.time() - pruned_at > _PRUNE_SECONDS:
                    pruned_at = time.time()
                    await self._prune(pruned_at)
            except Exception as error:  # noqa: BLE001 - a database outage must not end the sweeper
                _log.warning("sweep failed", error=str(error))
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _prune(self, now: float) -> None:
        gone = await self._ledger.prune(
            ended_before=now - self._times.ledger_retention,
            snapshots_before=now - self._times.snapshot_retention,
            audit_before=now - self._times.audit_retention,
        )
        if gone:
            _log.info("ledger pruned", actions=gone)
