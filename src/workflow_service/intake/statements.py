"""The statements of intake, made once: making one anew costs as much as sending it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from workflow_service.domain.states import ExecutionStatus
from workflow_service.store.tables import (
    Moment,
    active_identities,
    alerts,
    deliveries,
    executions,
    identities,
    workflows,
)

KEEP_DELIVERIES, KEEP_ALERTS = sa.insert(deliveries), sa.insert(alerts)
KEPT = sa.select(deliveries.c.id).where(deliveries.c.id.in_(sa.bindparam("ids", expanding=True)))
ADMIT_WORKFLOWS, ADMIT_EXECUTIONS = sa.insert(workflows), sa.insert(executions)
HOLD_IDENTITIES, KEEP_IDENTITIES = sa.insert(active_identities), sa.insert(identities)

# Locked in one order, so that two who decide about the same alerts wait for each other and do not block.
ALERTS = (
    sa.select(alerts)
    .where(alerts.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(alerts.c.id)
    .with_for_update()
)

_NAMES: sa.BindParameter[Sequence[str]] = sa.bindparam("names", expanding=True)

ACTIVE = sa.select(active_identities).where(active_identities.c.identity.in_(_NAMES))

RECENT_SUCCESSES = (
    sa.select(identities.c.identity, identities.c.workflow_id)
    .join(workflows, workflows.c.id == identities.c.workflow_id)
    .join(executions, executions.c.id == workflows.c.execution_id)
    .where(
        identities.c.identity.in_(_NAMES),
        executions.c.status == ExecutionStatus.COMPLETED,
        executions.c.ended_at > sa.bindparam("since", type_=Moment),
    )
    .order_by(executions.c.ended_at)  # the last one counts
)

DECIDED = (
    sa.update(alerts)
    .where(alerts.c.id == sa.bindparam("alert_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in ("outcome", "outcome_reason", "workflow_id", "decided_at")})
)
