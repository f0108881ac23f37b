"""From an order to the row that remembers it: fingerprint, deadline, and what is refused before anything is tried."""

import hashlib
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace

import orjson

from executor_service.actions.catalogue import ParametersError, meant, parse_parameters
from executor_service.actions.spec import ActionSpec
from executor_service.contract import ErrorClass, Json, Order, Status
from executor_service.execution.offering import Offering
from executor_service.guards.guard import Guard
from executor_service.ledger.rows import TOMBSTONE, ActionRow

_REVERT_SECONDS = 600.0  # that an undo by itself may take


class RejectedOrderError(ValueError):
    """The order itself is wrong and nothing was stored; `errors` has {field, value, rule} per problem."""

    def __init__(self, detail: str, errors: list[dict[str, Json]]) -> None:
        super().__init__(detail)
        self.errors = errors


class Acceptance:
    """Checks orders against the catalogue and this executor's own limits."""

    def __init__(self, offering: Offering, *, cluster: str, guard: Guard) -> None:
        self._offering = offering
        self._cluster = cluster
        self._guard = guard

    async def check(self, order: Order) -> tuple[ActionSpec, Order]:
        """The action ordered, and the order with its parameters under their own names.

        Raises RejectedOrderError: unknown type, not offered here, or parameters that break the schema.
        """
        spec = self._offering.catalogue.find(order.type)
        if spec is None:
            rule = "must be one of the catalogue (GET /api/v1/actions)"
            error = {"field": "action.type", "value": order.type, "rule": rule}
            raise RejectedOrderError(f"unknown action type {order.type!r}", [error])
        if (why := await self._offering.why_not(spec.name)) is not None:
            error = {"field": "action.type", "value": order.type, "rule": f"must be offered here: {why}"}
            raise RejectedOrderError(f"{spec.name} is not offered here: {why}", [error])
        order = replace(order, parameters=meant(spec, order.type, order.parameters))
        try:
            parse_parameters(spec, order.parameters)
        except ParametersError as error:
            errors = [item | {"field": f"action.parameters.{item['field']}"} for item in error.errors]
            raise RejectedOrderError(f"parameters of {spec.name} break its schema: {error}", errors) from None
        return spec, order

    def row(self, order: Order, spec: ActionSpec) -> ActionRow:
        """The first row of the order: running, or refused at once with the reason."""
        now = time.time()
        allowed = spec.timeout_seconds
        seconds = allowed if order.remaining_seconds is None else min(order.remaining_seconds, allowed)
        refusal = self._refusal(order, spec)
        return ActionRow(
            key=order.key,
            action_id=str(uuid.uuid4()),
            fingerprint=fingerprint(spec.name, order.parameters, dry_run=order.dry_run),
            type=spec.name,
            parameters=order.parameters,
            dry_run=order.dry_run,
            request=order.request,
            status=Status.REFUSED if refusal else Status.RUNNING,
            cancel_requested=False,
            message=str(refusal["message"]) if refusal else "accepted",
            progress=None,
            result={},
            changes=[],
            error=refusal,
            created_at=now,
            deadline_at=now + max(seconds, 0.0),
            finished_at=now if refusal else None,
        )

    def _refusal(self, order: Order, spec: ActionSpec) -> dict[str, Json] | None:
        namespace = order.parameters.get("namespace")
        if order.cluster and order.cluster != self._cluster:
            text = f"this executor serves cluster {self._cluster!r}, not {order.cluster!r}"
            return {"class": ErrorClass.WRONG_CLUSTER.value, "message": text}
        if order.remaining_seconds is not None and order.remaining_seconds <= 0:
            text = "no time was left for this action (remaining_seconds <= 0)"
            return {"class": ErrorClass.TIMEOUT.value, "message": text}
        refusal = self._guard.order_refusal(spec.name, namespace, changes=spec.changes and not spec.own_targets)
        if refusal is None:
            return None
        return {"class": refusal.error_class.value, "message": refusal.message} | refusal.about


def fingerprint(action_type: str, parameters: Mapping[str, Json], *, dry_run: bool) -> str:
    """What makes two orders under one key the same order."""
    identity = {"type": action_type, "parameters": parameters, "dry_run": dry_run}
    return hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()


def later_undo(row: ActionRow, after: float) -> ActionRow:
    """The row that takes an action back after that many seconds; the sweeper drives it, also after a restart."""
    now = time.time()
    parameters: dict[str, Json] = {"key": row.key, "not_before": now + after}
    return replace(
        row,
        key=f"{row.key}:auto-revert"[:256],
        action_id=str(uuid.uuid4()),
        fingerprint=fingerprint("undo", parameters, dry_run=False),
        type="undo",
        parameters=parameters,
        status=Status.RUNNING,
        cancel_requested=False,
        message="accepted",
        progress=None,
        created_at=now,
        deadline_at=now + after + _REVERT_SECONDS,
    )


def tombstone(key: str) -> ActionRow:
    """The row that refuses a key for ever, because it was cancelled before it was seen."""
    now = time.time()
    return ActionRow(
        key=key,
        action_id=str(uuid.uuid4()),
        fingerprint="",
        type=TOMBSTONE,
        parameters={},
        dry_run=False,
        request={},
        status=Status.CANCELLED,
        cancel_requested=True,
        message="cancelled before it was seen; the key is refused for ever",
        progress=None,
        result={},
        changes=[],
        error=None,
        created_at=now,
        deadline_at=now,
        finished_at=now,
    )
