"""The statements of intake, made once: making one anew costs as much as sending it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from workflow_service.domain.verdict import NO_ACTION
from workflow_service.store.resolutions import ends
from workflow_service.store.silences import CURRENT
from workflow_service.store.tables import (
    Document,
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
_WIDE: sa.BindParameter[Sequence[str]] = sa.bindparam("wide", expanding=True)
_SINCE: sa.BindParameter[datetime] = sa.bindparam("since", type_=Moment)
_SINCE_NOTHING: sa.BindParameter[datetime] = sa.bindparam("since_nothing", type_=Moment)
_NOTHING = executions.c.reason == NO_ACTION

_OF_STORM, _OF_BUDGET = (workflows.c.created_at > sa.bindparam(name, type_=Moment) for name in ("storm", "budget"))


# One question is enough for all that is known: its parts have the same columns.
_COLUMNS: dict[str, type[TypeEngine[Any]]] = {
    **dict.fromkeys(("name", "workflow_id", "status", "reason", "cluster", "namespace"), sa.Text),
    **dict.fromkeys(("at", "ended_at"), Moment),
    **dict.fromkeys(("begun", "spent"), sa.Integer),
    "document": Document,
}


def _known(kind: str, **given: sa.ColumnElement[Any]) -> sa.Select[Any]:
    columns = [given.get(name, sa.cast(sa.null(), of)).label(name) for name, of in _COLUMNS.items()]
    return sa.select(sa.literal(kind, literal_execute=True).label("kind"), *columns)


# Who runs for these things.
_ACTIVE = (
    _known(
        "active",
        name=active_identities.c.identity,
        workflow_id=active_identities.c.workflow_id,
        at=executions.c.started_at,
    )
    .join(workflows, workflows.c.id == active_identities.c.workflow_id)
    .join(executions, executions.c.id == workflows.c.execution_id)
    .where(active_identities.c.identity.in_(_WIDE))
)
# How those have ended that ran for them lately.
_ENDED = (
    _known(
        "ended",
        name=identities.c.identity,
        workflow_id=identities.c.workflow_id,
        status=executions.c.status,
        reason=executions.c.reason,
        at=executions.c.started_at,
        ended_at=executions.c.ended_at,
        document=sa.case((_NOTHING, alerts.c.document)),
    )
    .join(workflows, workflows.c.id == identities.c.workflow_id)
    .join(executions, executions.c.id == workflows.c.execution_id)
    .join(alerts, alerts.c.id == workflows.c.alert_id)
    .where(
        identities.c.identity.in_(_NAMES),
        sa.or_(executions.c.ended_at > _SINCE, _NOTHING & (executions.c.ended_at > _SINCE_NOTHING)),
    )
)
# Whether anything is silenced at all: hardly ever is.
_QUIET = _known("quiet").where(sa.exists().where(CURRENT))
# How many workflows have begun where, and since when.
_BEGUN = (
    _known(
        "begun",
        cluster=workflows.c.cluster,
        namespace=workflows.c.namespace,
        at=sa.func.min(workflows.c.created_at).filter(_OF_BUDGET),
        begun=sa.func.count().filter(_OF_STORM),
        spent=sa.func.count().filter(_OF_BUDGET),
    )
    .where(workflows.c.created_at > sa.bindparam("counted", type_=Moment))
    .group_by(workflows.c.cluster, workflows.c.namespace)
)
KNOWN = sa.union_all(_ACTIVE, _ENDED, _QUIET)
KNOWN_AND_BEGUN = sa.union_all(_ACTIVE, _ENDED, _QUIET, _BEGUN)

OF_DECISION = ("own", "outcome", "outcome_reason", "workflow_id", "decided_at", "reconsider_at", "trace")
DECIDED = (
    sa.update(alerts)
    .where(alerts.c.id == sa.bindparam("b_id"))
    .values({name: sa.bindparam(f"b_{name}") for name in OF_DECISION})
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
