"""Cases of the family nodes."""

from collections.abc import Callable
from typing import Any

from tests.cluster.case import Case, Drift
from tests.cluster.rights import core
from tests.cluster.scenes import NODE, at, cordon, drained, full_node, unschedulable
from tests.cluster.stage import Stage
from tests.support.kube import Object, Thing
from tests.support.processes import eventually

_TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
_OTHERS = _TAINT | {"value": "web"}
_SOFT = {"key": "dedicated", "value": "db", "effect": "PreferNoSchedule"}


def _on(**parameters: Any) -> Callable[[Stage], dict[str, Any]]:
    return lambda _: {"node_name": NODE} | parameters


def _taints(stage: Stage) -> list[Object]:
    return list(at(stage, "Node", NODE)["spec"].get("taints") or [])


def _tainted(stage: Stage) -> None:
    stage.kube.change(Thing("Node", "", NODE), [{"op": "add", "path": "/spec/taints", "value": [_TAINT, _SOFT]}])


def _movable_node(stage: Stage) -> None:
    full_node(stage)
    stage.kube.remove(stage.thing("DaemonSet", "agent"), propagationPolicy="Background")
    eventually(lambda: stage.pods("agent") == [], "only movable pods are left", within=stage.place.patience)


def _chased(stage: Stage) -> bool:
    def elsewhere() -> bool:
        pods = stage.pods("web")
        return len(pods) == 2 and all(pod["spec"].get("nodeName") not in {None, NODE} for pod in pods)

    eventually(elsewhere, "the pods are elsewhere", within=stage.place.patience)
    return _taints(stage) == [_TAINT | {"effect": "NoExecute"}]


CASES = (
    Case(
        name="cordon a node",
        type="cordon_node",
        target=("Node", NODE),
        arrange=lambda _: None,
        parameters=_on(),
        effect=unschedulable,
        rights=core("nodes", "get", "list", "patch"),
        drift=Drift("/spec/unschedulable", None),
        rival=Drift("/spec/unschedulable", True),
    ),
    Case(
        name="uncordon a node",
        type="uncordon_node",
        target=("Node", NODE),
        arrange=lambda stage: cordon(stage, NODE),
        parameters=_on(),
        effect=lambda stage: not unschedulable(stage),
        rights=core("nodes", "get", "patch"),
        drift=Drift("/spec/unschedulable", True),
        rival=Drift("/spec/unschedulable", None),
    ),
    Case(
        name="drain a node",
        type="drain_node",
        target=("Node", NODE),
        arrange=full_node,
        parameters=_on(grace_period_seconds=0),
        effect=drained,
        rights=(*core("nodes", "get", "patch"), *core("pods", "get", "list"), *core("pods/eviction", "create")),
        drift=Drift("/spec/unschedulable", None),
        rival=Drift("/spec/unschedulable", True),
    ),
    Case(
        name="taint a node",
        type="taint_node",
        target=("Node", NODE),
        arrange=lambda _: None,
        parameters=_on(**_TAINT, overwrite=True),
        effect=lambda stage: _taints(stage) == [_TAINT],
        rights=core("nodes", "get", "patch"),
        drift=Drift("/spec/taints/0/value", "web"),
        rival=Drift("/spec/taints", [_OTHERS], seen=_OTHERS),
    ),
    Case(
        name="taint a node so that its pods go",
        type="taint_node",
        target=("Node", NODE),
        arrange=_movable_node,
        parameters=_on(**(_TAINT | {"effect": "NoExecute"})),
        effect=_chased,
        rights=core("pods", "list"),
        drift=Drift("/spec/taints/0/value", "web"),
    ),
    Case(
        name="untaint a node",
        type="untaint_node",
        target=("Node", NODE),
        arrange=_tainted,
        parameters=_on(key="dedicated"),
        effect=lambda stage: _taints(stage) == [],
        rights=core("nodes", "get", "patch"),
        drift=Drift("/spec/taints", [_OTHERS]),
    ),
)
