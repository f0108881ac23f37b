"""What decisions write: workflows with their identities and executions, and what became of the alerts.

On PostgreSQL that is one statement, whose values are JSON texts: a round trip, and a fraction of the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.formats import FORMAT
from workflow_service.domain.queueing import QUEUE_BOUND
from workflow_service.domain.states import ExecutionStatus, RollbackStatus
from workflow_service.intake import statements as sql
from workflow_service.store.executions import Record
from workflow_service.store.group import typed
from workflow_service.store.tables import active_identities, alerts, executions, identities, workflows

Values = dict[str, Any]


@dataclass(slots=True)
class Rows:
    """The rows of one transaction, in the order of its decisions, and which executions have to be queued."""

    decided: list[Values] = field(default_factory=list)
    workflows: list[Values] = field(default_factory=list)
    identities: list[Values] = field(default_factory=list)
    executions: list[Values] = field(default_factory=list)
    queued: list[Record] = field(default_factory=list)


async def write(connection: AsyncConnection, rows: Rows) -> None:
    """Write all of them.

    Raises:
        IntegrityError: another replica has just admitted an alert about the same thing.
    """
    # Sorted, so that replicas that decide about the same things wait for each other in one order.
    held = sorted(rows.identities, key=lambda row: str(row["identity"]))
    if connection.dialect.name == "postgresql":
        texts = (rows.workflows, held, rows.executions) if rows.workflows else ()
        decided = [{**row, "trace": orjson.dumps(row["trace"]).decode()} for row in rows.decided]
        statement = _ADMIT if rows.workflows else _DECIDE
        await connection.exec_driver_sql(statement, tuple(orjson.dumps(part).decode() for part in (*texts, decided)))
        return
    if rows.workflows:
        await connection.execute(sql.ADMIT_WORKFLOWS, rows.workflows)
        await connection.execute(sql.HOLD_IDENTITIES, held)
        await connection.execute(sql.KEEP_IDENTITIES, held)
        await connection.execute(sql.ADMIT_EXECUTIONS, rows.executions)
    await connection.execute(sql.DECIDED, [{f"b_{name}": value for name, value in row.items()} for row in rows.decided])


def execution(record: Record, owner: str | None) -> Values:
    """The row of an execution that begins; `owner` None: as the queue has its turn."""
    return {
        "id": record.execution_id,
        "workflow_id": record.workflow_id,
        "kind": "run",
        "status": ExecutionStatus.CREATED,
        "queue": record.queue,
        "priority": record.priority,
        "owner": owner,
        "generation": 0 if owner is None else 1,
        "enqueued": 1,
        "enqueued_at": record.created_at,
        "seq": 0,
        "actions_total": 0,
        "actions_ended": 0,
        "reason": "",
        "cause": "",
        "rollback": RollbackStatus.NONE,
        "created_at": record.created_at,
        "updated_at": record.created_at,
        "must_end_by": record.created_at + QUEUE_BOUND,
        "format": FORMAT,
    }


_EXECUTION = (
    *("id", "workflow_id", "kind", "status", "queue", "priority", "owner", "generation", "enqueued", "enqueued_at"),
    *("seq", "actions_total", "actions_ended", "reason", "cause", "rollback", "created_at", "updated_at"),
    *("must_end_by", "format"),
)
_WORKFLOW = (
    *("id", "alert_id", "execution_id", "alert_name", "severity", "namespace", "cluster", "target"),
    "created_at",
)
_IDENTITY = ("identity", "workflow_id")


def _new(table: sa.Table, names: Sequence[str]) -> str:
    return f"json_to_recordset(%s::json) AS new ({typed(table, names)})"


def _insert(table: sa.Table, names: Sequence[str], source: str) -> str:
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(names)} FROM {source}"  # noqa: S608 - our own names


_DECIDE = (
    f"UPDATE alerts SET {', '.join(f'{name} = new.{name}' for name in sql.OF_DECISION)} "  # noqa: S608 - our own names
    f"FROM {_new(alerts, ('id', *sql.OF_DECISION))} WHERE alerts.id = new.id"
)
_ADMIT = f"""
WITH admitted AS ({_insert(workflows, _WORKFLOW, _new(workflows, _WORKFLOW))}),
named AS MATERIALIZED (SELECT * FROM {_new(identities, _IDENTITY)}),
held AS ({_insert(active_identities, _IDENTITY, "named")}),
kept AS ({_insert(identities, _IDENTITY, "named")}),
begun AS ({_insert(executions, _EXECUTION, _new(executions, _EXECUTION))})
{_DECIDE}
"""  # noqa: S608 - our own names
