"""One ride of one action: settle what is in doubt, perform, and turn whatever happens into an ending."""

import time

import structlog
from sqlalchemy.exc import SQLAlchemyError

from executor_service.actions.catalogue import Catalogue, parse_parameters
from executor_service.actions.changes import change_list
from executor_service.actions.managed import warning
from executor_service.actions.run import CancelledByCallerError, Run, StoppingError
from executor_service.actions.world import World
from executor_service.contract import ActionFailedError, ErrorClass, Status
from executor_service.execution.acceptance import later_undo
from executor_service.ledger.rows import ActionRow, Ending
from executor_service.telemetry.metrics import Metrics
from executor_service.telemetry.redaction import redacted

_log = structlog.get_logger(__name__)


class Driver:
    """Drives rows to their end; a ride that the stop of the service interrupts leaves its row running."""

    def __init__(self, world: World, catalogue: Catalogue, metrics: Metrics, *, cluster: str) -> None:
        self._world = world
        self._catalogue = catalogue
        self._metrics = metrics
        self._cluster = cluster

    async def run_of(self, row: ActionRow, *, new: bool) -> Run:
        """A run; unless the row is new, it knows the effects of earlier rides."""
        known = [] if new else await self._world.ledger.intents(row.key)
        intents = {item.slot: item for item in known}
        run = Run(
            world=self._world,
            key=row.key,
            type=row.type,
            dry_run=row.dry_run,
            deadline_at=row.deadline_at,
            request=row.request,
            intents=intents,
        )
        if row.cancel_requested:
            run.cancel.set()
        return run

    async def drive(self, row: ActionRow, run: Run) -> None:
        """Perform the action and store its ending."""
        log = _log.bind(key=row.key, action_id=row.action_id, action=row.type, **_context(row))
        log.info("action started", dry_run=row.dry_run, reason=redacted(row.parameters.get("reason")))
        try:
            ending = await self._perform(row, run)
        except StoppingError:
            log.info("action interrupted by the stop of the service; it goes on after the next start")
            return
        finally:
            self._world.guard.places.leave(row.key)
            await self._world.locks.release_all(row.key)
        await self._world.ledger.finish(row.key, ending)
        self._metrics.actions.labels(row.type, ending.status.value).inc()
        self._metrics.duration.labels(row.type).observe(max(time.time() - row.created_at, 0.0))
        told = {"message": redacted(ending.message), "error": redacted(ending.error)}
        log.info("action ended", status=ending.status.value, **told)

    async def _perform(self, row: ActionRow, run: Run) -> Ending:
        try:
            return await self._attempt(row, run)
        except (StoppingError, SQLAlchemyError):
            raise  # the row stays running: the sweeper, or the next start, drives it again
        except ActionFailedError as error:
            changes = await self._changes(run)
            status = Status.REFUSED if error.refused and not changes else Status.FAILED
            problem = {"class": error.error_class.value, "message": error.message} | error.about
            return Ending(status, error.message, error.result, changes, problem)
        except CancelledByCallerError:
            changes = await self._changes(run)
            message = "cancelled" if not changes else "cancelled after some changes were made"
            return Ending(Status.CANCELLED, message, {}, changes)
        except Exception as error:  # an action's own bug must end this action, not the service
            _log.exception("action crashed", key=row.key, action=row.type)
            changes = await self._changes(run)
            if run.in_doubt:
                raise  # an effect may be there: driven again, it is settled first
            message = f"internal error: {type(error).__name__}"
            problem = {"class": ErrorClass.UNKNOWN.value, "message": message}
            return Ending(Status.FAILED, message, {}, changes, problem)

    async def _attempt(self, row: ActionRow, run: Run) -> Ending:
        await run.settle_pending()
        spec = self._catalogue.find(row.type)
        if spec is None:
            raise ActionFailedError(ErrorClass.PERMANENT, f"this version no longer offers {row.type}")
        done = await spec.perform(run, parse_parameters(spec, row.parameters))
        managed = {str(write.ref): write.notes["managed_by"] for write in run.writes if "managed_by" in write.notes}
        result = done.result | ({"managed_by": managed} if managed else {})
        message = done.message + warning(managed)
        if done.take_back_after is not None and not run.dry_run:
            await self._world.ledger.insert(later_undo(row, done.take_back_after))
        return Ending(Status.COMPLETED, message, result, change_list(run.writes, self._cluster))

    async def _changes(self, run: Run) -> list[dict[str, object]]:
        """What the ledger knows to be there: after a failure the run's own memory may be behind."""
        if not run.dry_run:
            run.intents = {item.slot: item for item in await self._world.ledger.intents(run.key)}
        return change_list(run.writes, self._cluster)


def _context(row: ActionRow) -> dict[str, object]:
    context = row.request.get("context") or {}
    return {name: context[name] for name in ("workflow_id", "execution_id", "step_id", "attempt") if context.get(name)}
