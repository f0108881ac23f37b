"""The statements of intake, made once: making one anew costs as much as sending it."""

from __future__ import annotations

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

KEEP_DELIVERY, KEEP_ALERTS = sa.insert(deliveries), sa.insert(alerts)
ADMIT_WORKFLOW, ADMIT_EXECUTION = sa.insert(workflows), sa.insert(executions)
HOLD_IDENTITIES, KEEP_IDENTITIES = sa.insert(active_identities), sa.insert(identities)

ALERT = sa.select(alerts).where(alerts.c.id == sa.bindparam("alert_id")).with_for_update()

ACTIVE = (
    sa.select(active_identities.c.workflow_id)
    .where(active_identities.c.identity.in_(sa.bindparam("names", expanding=True)))
    .limit(1)
)

RECENT_SUCCESS = (
    sa.select(identities.c.workflow_id)
    .join(workflows, workflows.c.id == identities.c.workflow_id)
    .join(executions, executions.c.id == workflows.c.execution_id)
    .where(
        identities.c.identity.in_(sa.bindparam("names", expanding=True)),
        executions.c.status == ExecutionStatus.COMPLETED,
        executions.c.ended_at > sa.bindparam("since", type_=Moment),
    )
    .order_by(executions.c.ended_at.desc())
    .limit(1)
)

DECIDED = (
    sa.update(alerts)
    .where(alerts.c.id == sa.bindparam("alert_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in ("outcome", "outcome_reason", "workflow_id", "decided_at")})
)
