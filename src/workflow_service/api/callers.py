"""Who has sent a request, as its route sees it. Without authentication there is nobody, and everybody may do all."""

from __future__ import annotations

from starlette.requests import Request

from workflow_service.domain.errors import Forbidden
from workflow_service.domain.permissions import Caller, Right

KEY = "workflow_service.caller"  # in the ASGI scope; only the gate writes it


def caller_of(request: Request) -> Caller | None:
    """The caller; None: this service asks nobody who they are."""
    found: Caller | None = request.scope.get(KEY)
    return found


def visible_to(request: Request) -> frozenset[str] | None:
    """The namespaces whose workflows the caller may see; None: all."""
    caller = caller_of(request)
    return None if caller is None else caller.reach(Right.VIEWER)


def expect_orders_for(request: Request, namespace: str | None) -> None:
    """Let only those go on who may have something done in that namespace.

    Raises:
        Forbidden: the caller is limited to other namespaces.
    """
    caller = caller_of(request)
    reach = None if caller is None else caller.reach(Right.OPERATOR)
    if reach is not None and namespace not in reach:
        raise Forbidden(f"namespace: {namespace!r} must be one of those that the caller is limited to")
