"""Waiting in line: whose turn it is, how long anybody waits at most, and who stands still without waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from workflow_service.domain.states import ExecutionStatus

AGEING = 300  # seconds of waiting that outweigh one class of priority
QUEUE_BOUND = timedelta(hours=1)  # from an execution's creation to its start; what waits longer ends timed_out
# Somebody's word or a bound goes on with these; until then they wait for no slot.
PARKED = frozenset({ExecutionStatus.PAUSED, ExecutionStatus.AWAITING_APPROVAL})
NOT_BEGUN = frozenset({ExecutionStatus.CREATED, ExecutionStatus.PLANNING, ExecutionStatus.QUEUED})
AWAITS_TARGET = "awaits_target"  # the reason of what is queued because another execution changes its target
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # keeps a turn within 31 bits until 2094
_LAST = 2**31 - 1


def turn(priority: int, since: datetime) -> int:
    """The place in line of what waits since `since` with `priority` (1 first): whole seconds, the lowest goes first.

    It never changes while one waits. Ageing is in it: among those who came at one time the better priority goes first,
    but whoever has waited `AGEING` seconds per class longer goes before anybody of that better class.
    """
    waited_from = int((since - _EPOCH).total_seconds())
    return min(max(waited_from + priority * AGEING, 1), _LAST)
