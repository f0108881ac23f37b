"""Whether a known failure is tried again, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.plan import RetryPolicy


def retry_at(
    policy: RetryPolicy, *, error: ErrorClass, attempt: int, now: datetime, jitter: float, before: datetime
) -> datetime | None:
    """When attempt `attempt + 1` may start, or None when the failure stands.

    `attempt` counts from 0. `jitter` in [0, 1) spreads the delay over its upper half ("equal jitter", AWS Architecture
    Blog 2015): callers that failed together do not come back together, and none comes back at once. Nothing is tried
    again that could not start before `before`.
    """
    if error not in policy.retry_on or attempt >= policy.max_retries:
        return None
    full = min(policy.first_delay * policy.factor**attempt, policy.max_delay)
    at = now + timedelta(seconds=full / 2 + full / 2 * jitter)
    return at if at < before else None
