"""Four eyes: what somebody has asked for is approved by somebody else, and no question is passed by skipping it."""

from __future__ import annotations

from starlette.requests import Request

from workflow_service.api.callers import caller_of
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import Forbidden
from workflow_service.domain.levels import every
from workflow_service.domain.permissions import Caller, Right
from workflow_service.domain.plan import Plan, StepKind
from workflow_service.domain.states import Verb
from workflow_service.store import queries
from workflow_service.store.database import Database
from workflow_service.store.requesters import requesters


async def expect_other_eyes(database: Database, request: Request, workflow_id: str, command: Command) -> None:
    """Let a command pass unless it answers a question that its giver may not answer.

    Raises:
        Forbidden: the caller has asked for the workflow, or may not approve, and would skip an approval.
        NotFound: there is no such workflow.
        StoreUnavailable: the database is away.
    """
    caller = caller_of(request)
    if caller is None or command.verb not in {Verb.APPROVE, Verb.SKIP_STEP}:
        return
    if command.verb is Verb.SKIP_STEP and not await _skips_question(database, caller, workflow_id, command):
        return
    if caller.name in await requesters(database, workflow_id):
        raise Forbidden(f"{caller.name} has asked for this workflow; somebody else must approve it")


async def _skips_question(database: Database, caller: Caller, workflow_id: str, command: Command) -> bool:
    found, record = await queries.whole(database, workflow_id)
    if record.plan is None or not _asks(record.plan, str(command.arguments.get("step"))):
        return False
    reach = caller.reach(Right.APPROVER)
    if reach is not None and found["namespace"] not in reach:
        raise Forbidden("an approval can be skipped only by who has the right approver")
    return True


def _asks(plan: Plan, path: str) -> bool:
    """Whether that step asks for approval. Items and outer steps do not matter: ids tell more than enough."""
    name = path.rsplit("/", 1)[-1].partition("[")[0]
    return any(step.id == name and step.kind is StepKind.APPROVAL for step, _ in every(plan.steps))
