"""Event streams: what happens in all workflows or in one, as it is journalled, from where one has stopped reading."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from workflow_service.api.callers import caller_of, still_proved, visible_to
from workflow_service.api.event_stream import EventStream, event
from workflow_service.api.feed import TOO_SLOW, Feed, Full, Greedy, Subscription, message
from workflow_service.api.problems import RETRY_AFTER, documented, problem
from workflow_service.domain.errors import NotFound
from workflow_service.domain.states import ExecutionStatus
from workflow_service.store import feed, queries
from workflow_service.store.database import Database
from workflow_service.store.feed import Entry, Past
from workflow_service.telemetry.streams import StreamMetrics

HEARTBEAT = 15.0  # seconds at most until a silent stream says that it is alive, and until it is asked again whose it is
LIFETIME = 900.0  # seconds after which a reader has to come again, and to prove anew who it is
MOST_OF_THE_PAST = 10_000  # entries
UNAUTHORIZED = "unauthorized"
RETRY, SPREAD = 1000, 2000  # milliseconds: readers of a replica that stops do not all come at once

_ID = re.compile(r"([0-9a-f-]{36})\.([1-9][0-9]{0,8})")
_EXAMPLE = "0b0ad6d8-8f4d-4a0e-9a9e-0d0c5b1f7a11.7"
_LAST_EVENT_ID: dict[str, Any] = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "go on after this event; sent by browsers when they come again",
    "schema": {"type": "string", "examples": [_EXAMPLE]},
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "a stream of entries, and of named events about itself: `gap` (something cannot be told any "
        "more), `cut` (too slow), `bye` (come again)",
        "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/StreamedEvent"}}},
    }
}


class Streamed(BaseModel):
    """One entry of a journal."""

    workflow_id: str
    execution_id: str
    seq: int
    namespace: str | None
    status: ExecutionStatus = Field(description="where the execution stands when this is told")
    event: dict[str, Any] = Field(description="`kind`, `at`, and what belongs to it")


class AboutTheStream(BaseModel):
    """Of a named event: what is the matter with the stream."""

    reason: str


def _streamed(name: str | None, data: type[BaseModel]) -> dict[str, Any]:
    about = {"$ref": f"#/components/schemas/{data.__name__}"}
    named = (
        {"event": {"const": name}} if name is not None else {"id": {"type": "string", "pattern": f"^{_ID.pattern}$"}}
    )
    told = {"type": "string", "contentMediaType": "application/json", "contentSchema": about}
    properties = {"data": told, "retry": {"type": "integer"}, **named}
    return {"type": "object", "required": ["data", *named], "properties": properties, "additionalProperties": False}


# Each event of a stream, by its fields.
SCHEMAS: Mapping[str, dict[str, Any]] = {
    "StreamedEvent": {
        "title": "StreamedEvent",
        "anyOf": [_streamed(None, Streamed), *(_streamed(name, AboutTheStream) for name in ("gap", "cut", "bye"))],
    }
}


class EventQuery(BaseModel):
    """Which events the stream of all workflows tells."""

    namespace: str | None = Field(None, max_length=253)
    status: ExecutionStatus | None = Field(None, description="only while the workflow's execution stands there")
    workflow: str | None = Field(None, max_length=100, description="only of this workflow")


@dataclass(frozen=True, slots=True)
class Events:
    """What the routes of this module work with."""

    feed: Feed
    database: Database
    metrics: StreamMetrics


def routes(parts: Events) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.get(
        "/events",
        summary="What happens in all workflows, as it happens (Server-Sent Events)",
        response_class=Response,
        responses={**_ANSWERS, **documented(400, 503)},
        openapi_extra={"parameters": [_LAST_EVENT_ID]},
    )
    async def all_events(request: Request, asked: Annotated[EventQuery, Query()]) -> Response:
        within, last = visible_to(request), _last_event(request)

        def wanted(entry: Entry) -> bool:
            return (
                (within is None or entry.namespace in within)
                and asked.namespace in {None, entry.namespace}
                and asked.status in {None, entry.status}
                and asked.workflow in {None, entry.workflow_id}
            )

        async def past() -> Past:
            if last is None:
                return Past((), whole=True)
            found = await feed.since(parts.database, *last, within=within, most=MOST_OF_THE_PAST)
            new = (one for one in found.entries if one.execution_id != last[0] or one.seq > last[1])
            return replace(found, entries=[one for one in new if wanted(one)])

        return await _stream(parts, request, wanted, past)

    @router.get(
        "/workflows/{workflow_id}/events",
        summary="What has happened and happens in one workflow (Server-Sent Events)",
        response_class=Response,
        responses={**_ANSWERS, **documented(400, 404, 503)},
        openapi_extra={"parameters": [_LAST_EVENT_ID]},
    )
    async def events_of_one(request: Request, workflow_id: Annotated[str, Path(max_length=100)]) -> Response:
        last = _last_event(request)
        await queries.namespace_of(parts.database, workflow_id)

        async def past() -> Past:
            try:
                return await feed.of_workflow(parts.database, workflow_id, last)
            except NotFound:  # the event is none of this workflow's: all there is, and that it may not be all
                return replace(await feed.of_workflow(parts.database, workflow_id, None), whole=False)

        return await _stream(parts, request, lambda entry: entry.workflow_id == workflow_id, past)

    return router


async def _stream(
    parts: Events, request: Request, wanted: Callable[[Entry], bool], past: Callable[[], Awaitable[Past]]
) -> Response:
    try:
        caller = caller_of(request)
        subscription = await parts.feed.open(wanted, caller=None if caller is None else caller.name)
    except Full as error:
        return problem(request, 503, "Too many event streams", str(error), headers={"Retry-After": RETRY_AFTER})
    except Greedy as error:
        return problem(request, 429, "Too many event streams", str(error), headers={"Retry-After": RETRY_AFTER})
    try:
        before = await past()  # read after the subscription has begun, so that nothing lies between the two
    except BaseException:
        parts.feed.close(subscription)
        raise
    parts.metrics.opened()

    def ended(why: str | None) -> None:
        parts.feed.close(subscription)
        parts.metrics.ended(why or subscription.over or "lifetime")

    return EventStream(_told(subscription, before, partial(still_proved, request)), ended)


async def _told(
    subscription: Subscription, before: Past, proved: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes, None]:
    """The past, then what comes, without what was told already; then why it ends."""
    clock = asyncio.get_running_loop().time
    until, look, told = clock() + LIFETIME, clock() + HEARTBEAT, dict[str, int]()
    for part in _history(before, told):
        yield part
    del before  # a stream lives long, and its past is told
    while True:
        if clock() >= look:
            look = clock() + HEARTBEAT
            if not await proved():
                subscription.cut(UNAUTHORIZED)
        found = await subscription.next(max(0.0, min(look, until) - clock()))
        if found is None and (subscription.over is not None or clock() >= until):
            yield _last_word(subscription.over or "lifetime")
            return
        if found is None:
            yield b": alive\n\n"
        elif found.entry.seq > told.get(found.entry.execution_id, 0):
            yield found.text


def _history(before: Past, told: dict[str, int]) -> Iterator[bytes]:
    """What came before, noting in `told` how far that is."""
    yield b": welcome\n\n"
    if not before.whole:
        yield event({"reason": "some of what came before cannot be told any more; read the workflows"}, name="gap")
    for entry in before.entries:
        told[entry.execution_id] = entry.seq
        yield message(entry).text


def _last_word(why: str) -> bytes:
    if why == TOO_SLOW:
        return event({"reason": "too slow: too much was waiting to be read"}, name="cut", retry=RETRY)
    again = RETRY + random.randrange(SPREAD)  # noqa: S311 - spreads load, hides nothing
    return event({"reason": why}, name="bye", retry=again)


def _last_event(request: Request) -> tuple[str, int] | None:
    given = request.headers.get("last-event-id")
    if given is None:
        return None
    found = _ID.fullmatch(given)
    return (found[1], int(found[2])) if found is not None else ("", 0)  # of which nobody knows what came after it
