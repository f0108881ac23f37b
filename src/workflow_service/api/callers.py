"""Who has sent a request, as its route sees it. Without authentication there is nobody, and everybody may do all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from starlette.requests import Request

from workflow_service.domain.alert import Alert
from workflow_service.domain.errors import Forbidden, ProviderAway, StoreUnavailable, Unauthenticated
from workflow_service.domain.permissions import NAME_LIMIT, Caller, Right, Sight
from workflow_service.domain.target import NoTarget, resolve
from workflow_service.intake.intake import Outcome
from workflow_service.intake.reception import Result
from workflow_service.store import queries
from workflow_service.store.database import Database

Seen = TypeVar("Seen", Outcome, Result)
KEY = "workflow_service.caller"  # in the ASGI scope; only the gate writes it
ASK = "workflow_service.ask_again"  # in the ASGI scope: who the credential's owner is now


def caller_of(request: Request) -> Caller | None:
    """The caller; None: this service asks nobody who they are."""
    found: Caller | None = request.scope.get(KEY)
    return found


async def still_proved(request: Request) -> bool:
    """Whether the credential still proves the same caller, who sees the same; nobody can tell now: it did so before."""
    before, ask = caller_of(request), request.scope.get(ASK)
    if before is None or ask is None:
        return True
    try:
        now: Caller = await ask()
    except Unauthenticated:
        return False
    except (StoreUnavailable, ProviderAway):
        return True
    return (now.name, now.reach(Right.VIEWER)) == (before.name, before.reach(Right.VIEWER))


def source_of(request: Request) -> str | None:
    """Who calls, as kept with what they send: as proved, and without authentication as X-Service-Name claims."""
    return (request.headers.get("x-service-name") or "")[:NAME_LIMIT] or None  # the gate writes it


def visible_to(request: Request) -> frozenset[str] | None:
    """The namespaces whose workflows the caller may see; None: all."""
    caller = caller_of(request)
    return None if caller is None else caller.reach(Right.VIEWER)


def sight_of(request: Request) -> Sight | None:
    """Who looks, when they are limited to some namespaces; None: they see everything."""
    caller, reach = caller_of(request), visible_to(request)
    return None if caller is None or reach is None else Sight(caller.name, reach)


def orders_within(request: Request) -> frozenset[str] | None:
    """The namespaces in which the caller may have something done; None: all."""
    caller = caller_of(request)
    return None if caller is None else caller.reach(Right.OPERATOR)


def expect_orders_for(request: Request, alert: Alert) -> None:
    """Let only those go on who may have something done about that alert: where it says it is, and where its target is.

    Raises:
        Forbidden: the caller is limited to other namespaces.
    """
    if (why := hindrance(request, alert)) is not None:
        raise Forbidden(why)


def expect_within(request: Request, namespaces: Sequence[str] | None) -> None:
    """Let only those go on who may do something in all of these namespaces; None: in all there are.

    Raises:
        Forbidden: the caller is limited to others.
    """
    reach = orders_within(request)
    if reach is not None and (namespaces is None or not reach.issuperset(namespaces)):
        raise Forbidden(f"namespaces: {namespaces!r} must be some of those that the caller is limited to")


def hindrance(request: Request, alert: Alert) -> str | None:
    """Why the caller may not have something done about that alert; None: it may."""
    reach = orders_within(request)
    if reach is None:
        return None
    target = resolve(alert, "")
    places = (alert.namespace, alert.namespace if isinstance(target, NoTarget) else target.namespace)
    beyond = next((place for place in places if place not in reach), ...)
    return None if beyond is ... else f"namespace: {beyond!r} must be one of those that the caller is limited to"


async def within_sight(request: Request, database: Database, outcome: Seen) -> Seen:
    """The outcome of an alert without a workflow that its sender may not see: fingerprints are the sender's own words.

    Raises:
        StoreUnavailable: the database is away.
    """
    reach = visible_to(request)
    if reach is None or outcome.workflow_id is None:
        return outcome
    hidden = await queries.namespace_of(database, outcome.workflow_id) not in reach
    return replace(outcome, workflow_id=None) if hidden else outcome
