"""Family diagnostics: who changed what, from what the cluster itself remembers. Reads only."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.requirements import READ_WORKLOADS, rights
from executor_service.actions.run import Run
from executor_service.actions.spec import OBJECT_NAME_PATTERN, ActionSpec, Done, Namespace, Parameters
from executor_service.contract import Json

_KINDS = ("Deployment", "StatefulSet", "DaemonSet")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86400}
_MOST = 200


class AuditLogs(Parameters):
    """Parameters of audit_logs."""

    namespace: Namespace
    time_range: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}(m|h|d)$", description="How far back, as 24h")] = "24h"
    resource_name: Annotated[
        str | None, Field(pattern=OBJECT_NAME_PATTERN, max_length=253, description="Only this object")
    ] = None
    output_format: Literal["json", "text"] = Field(default="json", description="text adds readable lines")


async def audit_logs(run: Run, parameters: AuditLogs) -> Done:
    """Changes by who made them (managedFields) and events, newest first. It is not the API server's audit log."""
    seconds = int(parameters.time_range[:-1]) * _UNIT_SECONDS[parameters.time_range[-1]]
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    changes = [
        entry
        for kind in _KINDS
        for item in await run.list(kind, parameters.namespace)
        if parameters.resource_name in {None, item["metadata"]["name"]}
        for entry in _changes(kind, item)
        if _moment(entry["time"]) >= since
    ]
    events = [entry for entry in await _events(run, parameters) if _moment(entry["time"]) >= since]
    found = {
        "changes": sorted(changes, key=lambda entry: str(entry["time"]), reverse=True)[:_MOST],
        "events": sorted(events, key=lambda entry: str(entry["time"]), reverse=True)[:_MOST],
        "reasons": dict(Counter(entry["reason"] for entry in events).most_common(20)),
        "source": "managedFields and events",
    }
    if parameters.output_format == "text":
        found["text"] = "\n".join(" ".join(map(str, entry.values())) for entry in [*found["changes"], *found["events"]])
    return Done(f"{len(changes)} changes and {len(events)} events since {since:%Y-%m-%dT%H:%M:%SZ}", found)


def _changes(kind: str, item: dict[str, Json]) -> list[dict[str, Json]]:
    metadata = item["metadata"]
    entries = [
        {
            "time": entry["time"],
            "object": f"{kind}/{metadata['name']}",
            "by": entry.get("manager"),
            "how": entry.get("operation"),
        }
        for entry in metadata.get("managedFields") or []
        if entry.get("time")
    ]
    born = {"time": metadata["creationTimestamp"], "object": f"{kind}/{metadata['name']}", "by": None, "how": "Create"}
    return [born, *entries]


async def _events(run: Run, parameters: AuditLogs) -> list[dict[str, Json]]:
    found = []
    for item in await run.list("Event", parameters.namespace):
        about = item.get("involvedObject") or {}
        moment = item.get("lastTimestamp") or item.get("eventTime") or item["metadata"].get("creationTimestamp")
        if moment and parameters.resource_name in {None, about.get("name")}:
            shown = {"time": moment, "object": f"{about.get('kind')}/{about.get('name')}", "type": item.get("type")}
            found.append(shown | {"reason": item.get("reason"), "message": str(item.get("message", ""))[:300]})
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


SPECS = (
    ActionSpec(
        name="audit_logs",
        family="diagnostics",
        description="Who changed workloads lately and what happened to them, as the cluster remembers it.",
        parameters=AuditLogs,
        target_kinds=_KINDS,
        risk="low",
        timeout_seconds=60,
        perform=audit_logs,
        changes=False,
        irreversible_reason="it changes nothing",
        needs=(*READ_WORKLOADS, rights("Event", "list")),
        done_when="what was found is in the result",
    ),
)
