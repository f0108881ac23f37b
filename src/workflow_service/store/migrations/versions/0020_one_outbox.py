"""Messages about alarms are letters of the one outbox; those that have not arrived go there."""

import sqlalchemy as sa
from alembic import op

from workflow_service.store.tables import Document, Moment

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_OLD = sa.table(
    "alarm_messages",
    sa.column("name", sa.Text()),
    sa.column("id", sa.Text()),
    sa.column("at", Moment()),
    sa.column("document", Document()),
    sa.column("tries", sa.Integer()),
    sa.column("due_at", Moment()),
)
_NEW = sa.table(
    "letters",
    *(sa.column(name, sa.Text()) for name in ("id", "channel", "kind", "line", "step", "severity", "status")),
    sa.column("at", Moment()),
    sa.column("document", Document()),
    sa.column("tries", sa.Integer()),
    sa.column("due_at", Moment()),
)


def upgrade() -> None:
    connection = op.get_bind()
    for old in connection.execute(sa.select(_OLD).where(_OLD.c.due_at.is_not(None))).all():
        line = f"alarm:{old.name}"
        row = {"id": old.id, "channel": "alarm", "at": old.at, "line": line, "due_at": old.due_at, "tries": old.tries}
        kind = str(old.document["type"]).removeprefix("workflow-service.")
        fixed = {"kind": kind, "step": "", "severity": "critical", "status": "pending"}
        connection.execute(sa.insert(_NEW).values(**row, **fixed, document=old.document["data"]))
    connection.execute(sa.delete(_OLD))  # the table stays: a replica of the version before still looks there


def downgrade() -> None:
    """What was moved stays where it is."""
