"""Looking: at an object of the cluster, or at what Prometheus says. Reads only."""

import time
from dataclasses import asdict

import orjson
from fastapi import Request
from fastapi.responses import Response

from executor_service.api import models
from executor_service.api.problems import problem
from executor_service.contract import Json, ObjectRef
from executor_service.execution.results import rfc3339
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.errors import ApiError
from executor_service.kubernetes.observing import OBSERVABLE, canonical_kind, observe
from executor_service.prometheus import Prometheus, PrometheusError, QueryRefusedError


class Observing:
    """The handler of observe with what it needs at hand."""

    def __init__(self, kube: KubeClient, prometheus: Prometheus) -> None:
        self._kube, self._prometheus = kube, prometheus

    async def observe(self, body: models.ObserveRequest, request: Request) -> Response:
        """Facts about an object now, a vanished pod's through its owner; or what Prometheus says to `promql`."""
        if body.promql is not None:
            return await self._measure(body.promql, body, request)
        kind = canonical_kind(body.kind or "")
        if kind is None:
            return _unobservable("kind", body.kind, f"must be one of {', '.join(OBSERVABLE)}")
        if body.name is None:
            return _unobservable("name", None, f"is required for kind {kind}")
        namespace = body.namespace or None
        if kind != "Node" and namespace is None:
            return _unobservable("namespace", body.namespace, f"is required for kind {kind}")
        ref = ObjectRef(kind, None if kind == "Node" else namespace, body.name)
        try:
            seen = await observe(self._kube, ref)
        except ApiError as away:
            return problem(502, f"the cluster could not be asked: {away}", instance=request.url.path)
        return _json(
            asdict(ref)
            | {"found": seen.found, "facts": seen.facts, "owners": [asdict(owner) for owner in seen.owners]}
            | {"resolved_through_owner": seen.resolved_through_owner, "observed_at": rfc3339(time.time())}
        )

    async def _measure(self, promql: str, body: models.ObserveRequest, request: Request) -> Response:
        if body.kind is not None or body.name is not None:
            return _unobservable("promql", promql, "must not be given together with kind or name")
        if not self._prometheus.configured:
            return _unobservable("promql", promql, "cannot be asked: PROMETHEUS_URL is not set")
        try:
            found = await self._prometheus.query(promql)
        except QueryRefusedError as refused:
            return _unobservable("promql", promql, f"is refused by Prometheus: {refused}")
        except PrometheusError as away:
            return problem(502, str(away), instance=request.url.path)
        about = {"promql": promql, "found": bool(found.values), "facts": found.facts, "owners": []}
        return _json(about | {"resolved_through_owner": False, "observed_at": rfc3339(time.time())})


def _unobservable(field: str, value: str | None, rule: str) -> Response:
    error: dict[str, Json] = {"field": field, "value": value, "rule": rule}
    return problem(422, f"{field}: {value!r:.200} {rule}", errors=[error])


def _json(body: Json) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
