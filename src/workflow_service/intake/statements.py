"""The statements of intake, made once: making one anew costs as much as sending it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from workflow_service.domain.verdict import NO_ACTION
from workflow_service.store.resolutions import ends
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
_SINCE: sa.BindParameter[datetime] = sa.bindparam("since", type_=Moment)

_SINCE_NOTHING: sa.BindParameter[datetime] = sa.bindparam("since_nothing", type_=Moment)
_NOTHING = executions.c.reason == NO_ACTION

ACTIVE = (
    sa.select(active_identities.c.identity, active_identities.c.workflow_id, executions.c.started_at)
    .join(workflows, workflows.c.id == active_identities.c.workflow_id)
    .join(executions, executions.c.id == workflows.c.execution_id)
    .where(active_identities.c.identity.in_(_NAMES))
)

ENDED = (
    sa.select(
        identities.c.identity,
        identities.c.workflow_id,
        executions.c.status,
        executions.c.ended_at,
        executions.c.reason,
        executions.c.started_at,
        sa.case((_NOTHING, alerts.c.document)).label("document"),
    )
    .join(workflows, workflows.c.id == identities.c.workflow_id)
    .join(executions, executions.c.id == workflows.c.execution_id)
    .join(alerts, alerts.c.id == workflows.c.alert_id)
    .where(
        identities.c.identity.in_(_NAMES),
        sa.or_(executions.c.ended_at > _SINCE, _NOTHING & (executions.c.ended_at > _SINCE_NOTHING)),
    )
    .order_by(executions.c.ended_at.desc())
)

_OF_STORM, _OF_BUDGET = (workflows.c.created_at > sa.bindparam(name, type_=Moment) for name in ("storm", "budget"))
BEGUN = (
    sa.select(
        workflows.c.cluster,
        workflows.c.namespace,
        sa.func.count().filter(_OF_BUDGET).label("spent"),
        sa.func.count().filter(_OF_STORM).label("number"),
        sa.func.min(workflows.c.created_at).filter(_OF_BUDGET).label("oldest"),
    )
    .where(workflows.c.created_at > _SINCE)
    .group_by(workflows.c.cluster, workflows.c.namespace)
)

_OF_DECISION = ("own", "outcome", "outcome_reason", "workflow_id", "decided_at", "reconsider_at", "trace")
DECIDED = (
    sa.update(alerts)
    .where(alerts.c.id == sa.bindparam("alert_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in _OF_DECISION})
)

# What stood in its way is over, and nobody has said since that the alert has resolved.
_again = alerts.alias("again")
RECONSIDERED = (
    sa.select(alerts.c.id)
    .where(
        alerts.c.reconsider_at <= sa.bindparam("now", type_=Moment),
        ~sa.exists().where(ends(_again, alerts.c), _again.c.received_at > alerts.c.received_at),
    )
    .order_by(alerts.c.reconsider_at)
    .limit(sa.bindparam("most"))
)
UNDECIDE = (
    sa.update(alerts)
    .where(alerts.c.id.in_(sa.bindparam("ids", expanding=True)), alerts.c.reconsider_at.is_not(None))
    .values(outcome=None, reconsider_at=None, decided_at=sa.bindparam("now", type_=Moment))
)
