"""Signed links of notifications: a page that shows what would be done, and a button that does it, once.

Looking does nothing, since mail scanners and chat servers look too. The page has no script, no style and no foreign
address; what it quotes is escaped.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy.exc import IntegrityError

from workflow_service.access.rates import Rates
from workflow_service.api import callers, limits
from workflow_service.api.problems import documented
from workflow_service.domain import controls, letters
from workflow_service.domain.controls import Command
from workflow_service.domain.errors import NotFound
from workflow_service.domain.fold import fold_all
from workflow_service.domain.permissions import Caller
from workflow_service.domain.states import Verb
from workflow_service.domain.tickets import LONGEST, BadTicket, Ticket, name_of, read
from workflow_service.engine.orders import Orders
from workflow_service.store import commands, outbox, queries
from workflow_service.store.database import Database
from workflow_service.store.requesters import requesters

WorkflowId = Annotated[str, Path(max_length=100)]
TicketText = Annotated[str, Query(alias="ticket", max_length=LONGEST, description="as the notification's link has it")]
_NAMES = uuid.UUID("1c7e7d0c-1e0a-4c39-8a49-2f0d5a7f3b55")  # of the commands that tickets give
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
_WORDS = {Verb.APPROVE: "Approve", Verb.REJECT: "Reject", Verb.ROLLBACK: "Undo"}


@dataclass(frozen=True, slots=True)
class Linking:
    """What the routes work with. `secrets` None: no links are made, and none is taken."""

    database: Database
    orders: Orders
    secrets: Callable[[], Sequence[bytes] | None]
    readers: frozenset[str]  # in whose names links act
    failures: Rates  # of those who bring what is no ticket of ours, by address


def routes(parts: Linking) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1")

    @router.get(
        "/workflows/{workflow_id}/link",
        summary="What a link of a notification would do; looking does nothing",
        responses={**_pages(200, 404, 409), **documented(400, 429, 503)},
        response_class=Response,
    )
    async def look(request: Request, workflow_id: WorkflowId, text: TicketText) -> Response:
        try:
            ticket = _ticket(parts, workflow_id, text)
        except BadTicket as error:
            return _strange(parts, request, str(error))
        if (why := await _hindrance(parts, ticket, text)) is not None:
            return _page(409, "Not possible", [why])
        return _page(200, *await _told(parts, ticket), button=_WORDS[Verb(ticket.verb)])

    @router.post(
        "/workflows/{workflow_id}/link",
        summary="Do what a link of a notification says, once",
        responses={**_pages(200, 202, 403, 404, 409), **documented(400, 429, 503)},
        response_class=Response,
    )
    async def act(request: Request, workflow_id: WorkflowId, text: TicketText) -> Response:
        try:
            ticket = _ticket(parts, workflow_id, text)
        except BadTicket as error:
            return _strange(parts, request, str(error))
        request.scope[callers.KEY] = Caller(ticket.who, ())  # for the log of writes
        if (why := await _hindrance(parts, ticket, text)) is not None:
            return _page(409, "Not possible", [why])
        if ticket.verb == Verb.APPROVE and ticket.who in await requesters(parts.database, workflow_id):
            return _page(
                403, "Not allowed", [f"{ticket.who} has asked for this workflow; somebody else must approve it"]
            )
        return await _done(parts, ticket, text)

    return router


def _pages(*statuses: int) -> dict[int | str, dict[str, object]]:
    return {
        status: {"description": "a page", "content": {"text/html": {"schema": {"type": "string"}}}}
        for status in statuses
    }


def _ticket(parts: Linking, workflow_id: str, text: str) -> Ticket:
    """The ticket, if it is one for this workflow.

    Raises:
        BadTicket: it proves nothing.
    """
    ticket = read(text, parts.secrets() or (), now=time.time())
    if ticket.workflow_id != workflow_id:
        raise BadTicket("this link is not one of ours")
    if ticket.who not in parts.readers:
        raise BadTicket("no link acts in this name any more")
    return ticket


def _strange(parts: Linking, request: Request, why: str) -> Response:
    address = request.client.host if request.client else ""
    allowance = parts.failures.take(address, time.monotonic())
    return _page(404, "No such link", [why]) if allowance.given else limits.too_many(request, allowance)


async def _hindrance(parts: Linking, ticket: Ticket, text: str) -> str | None:
    """Why it cannot be done (any more)."""
    try:
        found, record = await queries.whole(parts.database, ticket.workflow_id)
        used = await commands.outcome_if_any(parts.database, _command_id(text))
    except NotFound:
        return "the workflow has been forgotten"
    if used is not None:
        return f"this link has been used: {used}"
    if found["execution_id"] != ticket.execution_id:
        return "the workflow has been begun anew since; there is another question, or none"
    if record.plan is not None and ticket.plan_hash not in {"", record.plan.hash}:
        return f"the plan has changed since; it is {record.plan.hash} now, and asks anew"
    return controls.refusal(fold_all(record.events), _command(ticket, text))


async def _told(parts: Linking, ticket: Ticket) -> tuple[str, Sequence[str]]:
    try:
        letter = await outbox.letter(parts.database, ticket.letter_id)
    except NotFound:
        return f"{_WORDS[Verb(ticket.verb)]} workflow {ticket.workflow_id}", [f"step: {ticket.step}"]
    told = letters.lines(letter.kind, letter.document)
    return letters.headline(letter.kind, letter.document), [*told, f"you are {ticket.who}"]


async def _done(parts: Linking, ticket: Ticket, text: str) -> Response:
    try:
        answer = await parts.orders.give(ticket.workflow_id, _command(ticket, text))
    except IntegrityError:  # it was pressed twice at once: the command's id is the ticket's
        return _page(409, "Not possible", ["this link has been used"])
    if answer.outcome == commands.REFUSED:
        return _page(409, "Not possible", [answer.why])
    status = f"the workflow is {answer.state.status}"
    if answer.outcome == commands.APPLIED:
        return _page(200, f"{_WORDS[Verb(ticket.verb)]}: done", [status])
    return _page(202, f"{_WORDS[Verb(ticket.verb)]}: written down", [f"{status}; it will be heard within moments"])


def _command(ticket: Ticket, text: str) -> Command:
    given = {"step": ticket.step, "plan_hash": ticket.plan_hash} if ticket.step else {}
    reason = f"by the link of notification {ticket.letter_id}"
    return Command(_command_id(text), Verb(ticket.verb), ticket.who, reason, given)


def _command_id(text: str) -> str:
    """The same for the same ticket: so it counts once."""
    return str(uuid.uuid5(_NAMES, name_of(text)))


def _page(status: int, title: str, lines: Sequence[str], *, button: str = "") -> Response:
    shown = "".join(f"<p>{escape(line)}</p>" for line in lines)
    form = f'<form method="post"><button type="submit">{escape(button)}</button></form>' if button else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title></head><body><h1>{escape(title)}</h1>{shown}{form}</body></html>"
    )
    return Response(body, status_code=status, media_type="text/html", headers=_HEADERS)
