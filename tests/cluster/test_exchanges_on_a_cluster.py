"""Every request of the table gets its answer, and none of them has changed anything."""

import json

import pytest
from tests.cluster.differences import ANSWERS
from tests.cluster.exchange import Exchange
from tests.cluster.exchanges import EXCHANGES
from tests.cluster.objects import deployment, workload
from tests.cluster.stage import Stage
from tests.executor.conftest import Executor
from tests.support.outside import Outside
from tests.support.places import Place

from executor_service.kubernetes.pointers import resolve


@pytest.fixture(scope="module")
def scene(place: Place, direct_executor: Executor, outside: Outside) -> Stage:
    """A namespace with a Deployment and a StatefulSet of one pod each, for all requests."""
    place.restore()
    stage = Stage(place, direct_executor, place.namespace(), outside)
    stage.create(deployment(stage.namespace, replicas=1))
    stage.create(workload("StatefulSet", stage.namespace, "db", replicas=1))
    stage.quiet(stage.thing("Pod", "db-0"))
    return stage


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[one.name for one in EXCHANGES])
def test_answer(exchange: Exchange, scene: Stage) -> None:
    """Status, reason and the named fields are the same everywhere, or the difference is listed."""
    before = scene.versions(scene.thing("Pod", "db-0"))
    path, body = _filled(exchange, scene)
    code, answer = scene.kube.call(exchange.method, path, body, patch=exchange.patch, **exchange.query)
    expected = ANSWERS.get((exchange.name, scene.place.name), (exchange.code, exchange.reason))
    assert (code, answer.get("reason", "")) == expected, answer
    assert {pointer: resolve(answer, pointer) for pointer in exchange.answer} == exchange.answer
    assert scene.versions(scene.thing("Pod", "db-0")) == before


def _filled(exchange: Exchange, scene: Stage) -> tuple[str, object]:
    """Path and body for this namespace and this server."""
    text = (
        json.dumps(exchange.body)
        .replace("{ns}", scene.namespace)
        .replace("{policy}", scene.kube.api_version("policy/v1"))
    )
    return exchange.path.replace("{ns}", scene.namespace), json.loads(text)
