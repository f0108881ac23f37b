"""Cases of what only looks, tells, or changes something outside the cluster."""

from typing import Any

from tests.cluster.case import Case
from tests.cluster.rights import apps, core, named, of
from tests.cluster.scenes import NODE, web
from tests.cluster.stage import Stage
from tests.support.kube import Object

_ENDING = {"matchers": [], "status": {"state": "active"}, "comment": "by hand"}
_FORBIDDEN = "403"


def _said(stage: Stage) -> Any:
    return stage.notes["result"]["result"]


def _history(stage: Stage) -> bool:
    about = "Deployment/web"
    made = [each for each in _said(stage)["changes"] if each["object"] == about and each["how"] == "Create"]
    events = [each for each in _said(stage)["events"] if each["object"] == about]
    return bool(made) and bool(events) and _said(stage)["reasons"].get("ScalingReplicaSet", 0) >= 1


def _diagnosed(stage: Stage) -> bool:
    names = {pod["metadata"]["name"] for pod in stage.pods("web")}
    return {pod["name"] for pod in _said(stage)["pods"]} == names and bool(_said(stage)["events"])


def _without_logs(result: Object) -> bool:
    return all(str(each["unavailable"]).startswith(_FORBIDDEN) for each in result["result"]["logs"])


def _without_usage(result: Object) -> bool:
    usage = result["result"]["usage"]
    return isinstance(usage, dict) and str(usage["unavailable"]).startswith(_FORBIDDEN)


def _silent(stage: Stage) -> bool:
    found = stage.outside.silences[_said(stage)["silence_id"]]
    return bool(found["status"]["state"] == "active" and found["matchers"][0]["value"] == stage.namespace)


def _to_be_ended(stage: Stage) -> None:
    number = f"hand-{stage.namespace}"
    stage.outside.silences[number] = _ENDING | {"id": number}


def _called(stage: Stage) -> bool:
    method, path, key, body = stage.outside.calls[-1]
    return (method, path, body) == ("POST", "/hook", {"about": stage.namespace}) and bool(key)


def _tells(action: str, **parameters: str) -> Case:
    return Case(
        name=f"{action} over the log",
        type=action,
        target=("Node", NODE),
        arrange=lambda _: None,
        parameters=lambda _: {"message": "the disk is full"} | parameters,
        effect=lambda stage: _said(stage) == {"channels": ["log"]},
        rights=(),
        changes=False,
    )


CASES = (
    Case(
        name="collect diagnostics of a Deployment",
        type="collect_diagnostics",
        target=("Deployment", "web"),
        arrange=web,
        parameters=named("web"),
        effect=_diagnosed,
        rights=(*core("pods", "list"), *core("nodes", "list"), *core("events", "list")),
        changes=False,
        lesser=(
            (core("pods/log", "get")[0], _without_logs),
            (of("metrics.k8s.io", "pods", "list")[0], _without_usage),
        ),
    ),
    Case(
        name="who changed what",
        type="audit_logs",
        target=("Deployment", "web"),
        arrange=web,
        parameters=lambda stage: {"namespace": stage.namespace},
        effect=_history,
        rights=(*apps("deployments", "list"), *core("events", "list")),
        changes=False,
    ),
    Case(
        name="a silence",
        type="create_silence",
        target=("Node", NODE),
        arrange=lambda _: None,
        parameters=lambda stage: {"matchers": {"namespace": stage.namespace}, "comment": "being repaired"},
        effect=_silent,
        rights=(),
    ),
    Case(
        name="the end of a silence",
        type="expire_silence",
        target=("Node", NODE),
        arrange=_to_be_ended,
        parameters=lambda stage: {"silence_id": f"hand-{stage.namespace}"},
        effect=lambda stage: stage.outside.silences[f"hand-{stage.namespace}"]["status"]["state"] == "expired",
        rights=(),
    ),
    Case(
        name="a question to Prometheus",
        type="query_metrics",
        target=("Node", NODE),
        arrange=lambda _: None,
        parameters=lambda _: {"query": "scalar(up)", "comparison": "<", "threshold": 0.9},
        effect=lambda stage: _said(stage)["value"] == 0.5,
        rights=(),
        changes=False,
    ),
    Case(
        name="a call to a service of one's own",
        type="call_webhook",
        target=("Node", NODE),
        arrange=lambda _: None,
        parameters=lambda stage: {"url": f"{stage.outside.url}/hook", "payload": {"about": stage.namespace}},
        effect=_called,
        rights=(),
        changes=False,
    ),
    _tells("notify_only"),
    _tells("notify_team", team="storage"),
    _tells("notify_oncall", severity="critical"),
    _tells("log_incident"),
)
