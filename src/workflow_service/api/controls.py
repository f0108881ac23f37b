"""Telling a workflow what to do: pause, resume, cancel, rollback, retry, skip-step; and the rollbacks that were."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from workflow_service.api.problems import documented, problem
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import Violation
from workflow_service.domain.states import Verb
from workflow_service.engine.orders import Orders
from workflow_service.store import commands, queries, rollbacks
from workflow_service.store.database import Database

WorkflowId = Annotated[str, Path(max_length=100)]


@dataclass(frozen=True, slots=True)
class Controls:
    """What the routes of this module work with."""

    orders: Orders
    database: Database


class CommandIn(BaseModel):
    """Why, and what the verb needs: `undo` for cancel, `step` for skip-step."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=1000)
    undo: bool | None = Field(default=None, description="cancel only: undo what was done")
    step: str | None = Field(default=None, max_length=63, description="skip-step only: the step's id")


class CommandOut(BaseModel):
    """What became of a command."""

    command_id: str
    workflow_id: str
    execution_id: str = Field(description="the execution that obeys; a new one after retry and a later rollback")
    verb: str
    outcome: str = Field(description="applied, or waiting while its owner has not answered yet (202)")
    status: str
    allowed: list[str] = Field(description="what could be commanded now")


class CommandRow(BaseModel):
    """One command of the past."""

    id: str
    execution_id: str
    verb: str
    actor: str
    reason: str
    arguments: dict[str, Any]
    outcome: str | None
    why: str | None
    created_at: AwareDatetime
    answered_at: AwareDatetime | None


class CommandsOut(BaseModel):
    """Who told a workflow what, oldest first."""

    commands: list[CommandRow]


class RollbackRow(BaseModel):
    """One rollback, running or over."""

    rollback_id: str = Field(description="the execution that undid, or tried")
    workflow_id: str
    kind: str = Field(description="run: it undid its own steps; rollback: it undid an earlier execution's")
    status: str
    rollback: str = Field(description="none, done or incomplete")
    reason: str
    cause: str
    namespace: str | None
    alert_name: str
    created_at: AwareDatetime
    ended_at: AwareDatetime | None


class RollbacksOut(BaseModel):
    """The newest rollbacks, and how all that are over went."""

    rollbacks: list[RollbackRow]
    total: int = Field(description="that are over")
    success_rate: float | None = Field(description="of those that are over, 0..1; null when there are none")


def routes(parts: Controls) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.post(
        "/workflows/{workflow_id}/{verb}",
        summary="Tell a workflow what to do",
        responses={
            200: {"model": CommandOut, "description": "obeyed"},
            202: {"model": CommandOut, "description": "written down; its owner has not answered yet"},
            **documented(400, 404, 409, 413, 503),
        },
    )
    async def command(request: Request, workflow_id: WorkflowId, verb: Verb, body: CommandIn | None = None) -> Response:
        return await _command(parts, request, workflow_id, verb, body or CommandIn())

    @router.get(
        "/workflows/{workflow_id}/commands",
        summary="Who told a workflow what, and what became of it",
        responses={200: {"model": CommandsOut}, **documented(404, 503)},
    )
    async def history(workflow_id: WorkflowId) -> Response:
        await queries.summary(parts.database, workflow_id)
        rows = await commands.history(parts.database, workflow_id)
        shown = [{name: row[name] for name in CommandRow.model_fields} for row in rows]
        return Response(orjson.dumps({"commands": shown}), media_type="application/json")

    @router.get(
        "/rollbacks",
        summary="The history of rollbacks, newest first",
        responses={200: {"model": RollbacksOut}, **documented(400, 503)},
    )
    async def rolled_back(
        namespace: Annotated[str | None, Query(max_length=253)] = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        span = rollbacks.Span(namespace, since, until)
        found, over, done = await rollbacks.rollbacks(parts.database, span, limit=limit)
        rate = round(done / over, 4) if over else None
        body = {"rollbacks": found, "total": over, "success_rate": rate}
        return Response(orjson.dumps(body), media_type="application/json")

    return router


async def _command(parts: Controls, request: Request, workflow_id: str, verb: Verb, body: CommandIn) -> Response:
    wrong = _misplaced(verb, body)
    if wrong:
        detail = "; ".join(map(str, wrong))
        return problem(request, 400, "Invalid request", detail, violations=wrong)
    given = {"undo": body.undo, "step": body.step}
    arguments = {name: value for name, value in given.items() if value is not None}
    actor = request.headers.get("x-service-name") or "somebody"  # until callers have identities
    order = Command(id=str(uuid.uuid4()), verb=verb, actor=actor[:200], reason=body.reason, arguments=arguments)
    answer = await parts.orders.give(workflow_id, order)
    if answer.outcome == commands.REFUSED:
        return problem(request, 409, "Command refused", answer.why, allowed=answer.allowed)
    shown = {
        "command_id": order.id,
        "workflow_id": workflow_id,
        "execution_id": answer.execution_id,
        "verb": verb,
        "outcome": answer.outcome,
        "status": answer.state.status,
        "allowed": answer.allowed,
    }
    code = 200 if answer.outcome == commands.APPLIED else 202
    return Response(orjson.dumps(shown), status_code=code, media_type="application/json")


def _misplaced(verb: Verb, body: CommandIn) -> list[Violation]:
    wrong = []
    if body.undo is not None and verb is not Verb.CANCEL:
        wrong.append(Violation("undo", body.undo, "belongs to cancel only"))
    if body.step is not None and verb is not Verb.SKIP_STEP:
        wrong.append(Violation("step", body.step, "belongs to skip-step only"))
    if body.step is None and verb is Verb.SKIP_STEP:
        wrong.append(Violation("step", None, "must name the step to skip"))
    return wrong
