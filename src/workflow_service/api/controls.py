"""Telling a workflow what to do: one route per verb; and who told it what."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, HTTPException, Path, Request
from fastapi.openapi.models import Example
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, Field

from workflow_service.api import conditional, selecting
from workflow_service.api.callers import source_of
from workflow_service.api.command_bodies import SHAPES, CommandIn, Shape
from workflow_service.api.four_eyes import expect_other_eyes
from workflow_service.api.problems import documented, problem
from workflow_service.api.standing import tag_now
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import Stale, Violation
from workflow_service.domain.permissions import methods_of
from workflow_service.domain.states import Verb
from workflow_service.engine.orders import Orders
from workflow_service.store import commands, queries
from workflow_service.store.database import Database

WorkflowId = Annotated[str, Path(max_length=100)]


@dataclass(frozen=True, slots=True)
class Controls:
    """What the routes of this module work with."""

    orders: Orders
    database: Database


class CommandOut(BaseModel):
    """What became of a command."""

    command_id: str
    workflow_id: str
    execution_id: str = Field(description="the execution that obeys; a new one after retry and a later rollback")
    verb: Verb
    outcome: str = Field(description="applied, or waiting while its owner has not answered yet (202)")
    status: str
    allowed: list[Verb] = Field(description="what could be commanded now")


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


def routes(parts: Controls) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")
    for verb, shape in SHAPES.items():
        router.add_api_route(
            f"/workflows/{{workflow_id}}/{verb}",
            _endpoint(parts, verb, shape),
            methods=["POST"],
            name=verb,
            summary=shape.summary,
            responses={
                200: {"model": CommandOut, "description": "obeyed"},
                202: {"model": CommandOut, "description": "written down; its owner has not answered yet"},
                **documented(400, 404, 409, 412, 413, 422, 503),
            },
            openapi_extra={"parameters": [conditional.IF_MATCH]},
        )

    @router.get(
        "/workflows/{workflow_id}/commands",
        summary="Who told a workflow what, and what became of it",
        responses={200: {"model": CommandsOut}, **documented(400, 404, 503)},
        openapi_extra={"parameters": [selecting.offered(CommandRow)]},
    )
    async def history(request: Request, workflow_id: WorkflowId) -> Response:
        fields = selecting.chosen(request, CommandRow)
        await queries.summary(parts.database, workflow_id)
        rows = await commands.history(parts.database, workflow_id)
        shown = [{name: row[name] for name in CommandRow.model_fields} for row in rows]
        return Response(orjson.dumps({"commands": selecting.pick(fields, shown)}), media_type="application/json")

    @router.post("/workflows/{workflow_id}/{verb}", include_in_schema=False)
    async def unknown(request: Request, workflow_id: WorkflowId, verb: str) -> Response:  # noqa: ARG001 - the path's
        methods = methods_of(request.url.path)
        if "POST" not in methods:  # it is a name that only others lead to
            raise HTTPException(405)
        wrong = Violation("verb", verb, f"must be one of {', '.join(SHAPES)}")
        return problem(request, 400, "Invalid request", str(wrong), violations=[wrong])

    return router


def _endpoint(parts: Controls, verb: Verb, shape: Shape) -> Callable[..., Awaitable[Response]]:
    """A route's function; what FastAPI reads of it is written down here, since the body is another for every verb."""
    example: dict[str, Example] = {"example": {"summary": shape.summary, "value": dict(shape.example)}}
    given = Body(openapi_examples=example) if shape.needed else Body(None, openapi_examples=example)

    async def command(request: Request, workflow_id: WorkflowId, body: Any = given) -> Response:
        said = body or CommandIn()
        order = Command(
            id=str(uuid.uuid4()),
            verb=verb,
            actor=source_of(request) or "somebody",
            reason=said.reason,
            arguments=_arguments(said),
        )
        await expect_other_eyes(parts.database, request, workflow_id, order)
        try:
            return await _give(parts.orders, request, workflow_id, order)
        except Stale:
            return conditional.stale(request, await tag_now(parts.database, workflow_id))

    command.__annotations__["body"] = shape.body if shape.needed else shape.body | None
    return command


def _arguments(said: CommandIn) -> dict[str, Any]:
    given = {name: getattr(said, name) for name in type(said).model_fields if name != "reason"}
    return {name: value for name, value in given.items() if value is not None}


async def _give(orders: Orders, request: Request, workflow_id: str, order: Command) -> Response:
    answer = await orders.give(workflow_id, order, expected=conditional.expected(request))
    if answer.broken:
        return problem(request, 422, "Unfit request", answer.why, violations=answer.broken)
    if answer.outcome == commands.REFUSED:
        return problem(request, 409, "Command refused", answer.why, allowed=answer.allowed)
    shown = {
        "command_id": order.id,
        "workflow_id": workflow_id,
        "execution_id": answer.execution_id,
        "verb": order.verb,
        "outcome": answer.outcome,
        "status": answer.state.status,
        "allowed": answer.allowed,
    }
    code = 200 if answer.outcome == commands.APPLIED else 202
    return Response(orjson.dumps(shown), status_code=code, media_type="application/json")
