"""How limits of rate are told: the fields of draft-ietf-httpapi-ratelimit-headers-10, and 429 with Retry-After."""

from __future__ import annotations

import math

from starlette.requests import Request
from starlette.responses import Response

from workflow_service.access.rates import Allowance, Rates
from workflow_service.api.problems import problem


def headers(rates: Rates, allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """The limit, what is left of it, and seconds until it is whole again."""
    policy = f'"default";q={rates.burst};w={math.ceil(rates.window)}'
    state = f'"default";r={allowance.left};t={math.ceil(allowance.whole_in)}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


def too_many(request: Request, allowance: Allowance) -> Response:
    """The refusal: nothing was done."""
    seconds = max(1, math.ceil(allowance.next_in))
    return problem(
        request, 429, "Too many requests", f"try again in {seconds} s", headers={"Retry-After": str(seconds)}
    )
