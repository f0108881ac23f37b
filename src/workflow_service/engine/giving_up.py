"""The end of an execution whose drives keep dying: what is under way is stopped by key, then it ends and says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import structlog

from workflow_service.domain import events as ev
from workflow_service.domain import rollback
from workflow_service.domain.bounds import SETTLE_GRACE
from workflow_service.domain.errors import Fenced, StoreUnavailable
from workflow_service.domain.fold import fold_all
from workflow_service.domain.graph import validate
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import ExecutionStatus, RollbackStatus, StepStatus
from workflow_service.engine.errands import Errands
from workflow_service.engine.means import Means
from workflow_service.engine.recorder import Recorder
from workflow_service.ports import Drive
from workflow_service.store.executions import load, load_bare

log = structlog.get_logger(__name__)


async def give_up(means: Means, drive: Drive) -> None:
    """End a claimed execution as failed, however little of it can be understood.

    Raises:
        Fenced: another drive owns the execution.
        StoreUnavailable: the journal was closed, or the database is away.
    """
    try:
        recorder = await _settled(means, drive)
    except (Fenced, StoreUnavailable):
        raise
    except Exception:
        # Whatever made its drives die may be met here too, and it must end all the same.
        log.exception("what is under way cannot be settled", drive=drive.id)
        record = await load_bare(means.database, drive.execution_id)
        recorder = Recorder(means, record, drive.generation, RunState())
    undone = RollbackStatus.INCOMPLETE if rollback.left_over(recorder.state) else RollbackStatus.NONE
    cause = f"{drive.generation} drives did not bring it to its end"
    await recorder.write([ev.Ended(means.clock(), ExecutionStatus.FAILED, "internal_error", cause, undone)])


async def _settled(means: Means, drive: Drive) -> Recorder:
    record = await load(means.database, drive.execution_id)
    means = means.at(record.alert)
    recorder = Recorder(means, record, drive.generation, fold_all(record.events))
    if record.plan is not None:
        graph = validate(record.plan).grown(recorder.state.items)
        errands = Errands(record, graph, cluster=means.site.cluster, jitter=means.jitter, patterns=means.patterns)
        async for event in _outcomes(means, errands, recorder.state):
            await recorder.write([event], graph=graph)
    return recorder


async def _outcomes(means: Means, errands: Errands, state: RunState) -> AsyncIterator[ev.Event]:
    for name, step in state.steps.items():
        if step.status is StepStatus.RUNNING and step.attempts:
            errand = errands.for_attempt(name, step.attempts[-1], state, fresh=False)
            now = means.clock()
            call = replace(errand.call, deadline=now, abandon_at=now + timedelta(seconds=SETTLE_GRACE))
            yield errands.outcome(errand, await means.site.courier.settle(call), state, means.clock())
