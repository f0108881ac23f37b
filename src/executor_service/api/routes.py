"""The routes below /api/v1."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Path, Request, Response

from executor_service.api import models
from executor_service.api.observing import Observing
from executor_service.api.problems import problem
from executor_service.contract import ErrorClass, Json, Order, Status
from executor_service.execution.executor import Executor
from executor_service.execution.offering import Offering
from executor_service.execution.results import Results
from executor_service.ledger.ledger import Ledger
from executor_service.ledger.rows import ActionRow

KeyPath = Annotated[models.Key, Path(description="Idempotency key")]
PROBLEM: dict[str, Any] = {"model": models.Problem, "content": {"application/problem+json": {}}}
_ERRORS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 413, 422, 503), PROBLEM)
_CLOSED: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 503), PROBLEM)
_FORBIDDEN: dict[int | str, dict[str, Any]] = {
    403: PROBLEM
    | {
        "model": models.Result | models.Problem,
        "description": "a rule forbids it (the result, `refused`, with `error.rule`), or the caller may not call",
    }
}
_ELSEWHERE: dict[int | str, dict[str, Any]] = {
    412: PROBLEM | {"description": "the order names another ledger (`Ledger-Id`); `ledger_id` is this one's"}
}
_RUNNING: dict[int | str, dict[str, Any]] = {202: {"model": models.Result, "description": "still running; poll by key"}}
_ABSENT: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 403, 404, 503), PROBLEM)


class Routes:
    """Handlers with what they need at hand."""

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        results: Results,
        *,
        observing: Observing,
        offering: Offering,
        cluster: str,
    ) -> None:
        self._executor = executor
        self._ledger = ledger
        self._results = results
        self._observing = observing
        self._offering = offering
        self._cluster = cluster

    def router(self) -> APIRouter:
        """All routes of this class."""
        router = APIRouter(prefix="/api/v1")
        add = router.add_api_route
        result: dict[str, Any] = {"response_model": models.Result}
        answers = _ERRORS | _FORBIDDEN | _ELSEWHERE | _RUNNING
        add("/execute", self.execute, methods=["POST"], responses=answers, **result)
        add("/actions", self.actions, methods=["GET"], response_model=models.CatalogueAnswer, responses=_CLOSED)
        by_key = "/actions/by-key/{key:path}"
        add(f"{by_key}/cancel", self.cancel, methods=["POST"], responses=_ERRORS | _RUNNING, **result)
        add(by_key, self.by_key, methods=["GET"], responses=_ABSENT, **result)
        add("/status/{action_id}", self.status, methods=["GET"], responses=_ABSENT, **result)
        observed = models.ObservationAnswer
        add(
            "/observe",
            self._observing.observe,
            methods=["POST"],
            response_model=observed,
            responses=_ERRORS | {502: PROBLEM},
        )
        return router

    async def execute(
        self,
        body: models.ExecuteRequest,
        idempotency_key: Annotated[models.Key, Header(alias="Idempotency-Key")],
        request: Request,
        ledger_id: Annotated[
            models.LedgerId | None,
            Header(alias="Ledger-Id", description="the ledger that is to remember the key; any other begins nothing"),
        ] = None,
    ) -> Response:
        """Perform an action exactly once per key.

        A key has one effect as long as one ledger remembers it: an order that was on its way while the ledger was lost
        may have been done before, so an order that names its ledger is for no other.
        """
        if ledger_id not in (None, self._ledger.ledger_id):
            there = self._ledger.ledger_id
            detail = f"the order is for ledger {ledger_id!r}, and this is {there!r}: nothing was begun"
            return problem(412, detail, instance=request.url.path, ledger_id=there)
        context = body.context
        order = Order(
            key=idempotency_key,
            type=body.action.type,
            parameters=body.action.parameters,
            dry_run=context.dry_run,
            remaining_seconds=context.remaining_seconds,
            cluster=context.cluster or None,
            request=body.model_dump(mode="json", exclude={"action": {"parameters"}}) | {"caller": request.state.caller},
        )
        row = await self._executor.submit(order)
        return await self._answer(row, final_code=403 if _forbidden(row) else 200)

    async def cancel(self, key: KeyPath) -> Response:
        """Make sure that the action of a key does not begin, or stop it, or tell how it ended."""
        return await self._answer(await self._executor.cancel(key))

    async def by_key(self, key: KeyPath) -> Response:
        """What is known about a key."""
        row = await self._ledger.get(key)
        if row is None:
            return problem(404, f"key {key!r} is not in this ledger", ledger_id=self._ledger.ledger_id)
        return await self._answer(row, running_code=200)

    async def status(self, action_id: str) -> Response:
        """What is known about an action id."""
        row = await self._ledger.get_by_action_id(action_id)
        if row is None:
            return problem(404, f"action {action_id!r} is not in this ledger", ledger_id=self._ledger.ledger_id)
        return await self._answer(row, running_code=200)

    async def actions(self) -> Response:
        """The actions that are offered here with a digest over them, and why the others are not."""
        offer = await self._offering.current()
        about = {"digest": offer.digest, "cluster": self._cluster, "ledger_id": self._ledger.ledger_id}
        return _json(about | {"actions": offer.entries, "unavailable": offer.unavailable})

    async def _answer(self, row: ActionRow, *, running_code: int = 202, final_code: int = 200) -> Response:
        return _json(await self._results.render(row), final_code if row.final else running_code)


def _forbidden(row: ActionRow) -> bool:
    """Whether a rule said no before anything was attempted: whoever ordered it sees that in the status line already."""
    return row.status is Status.REFUSED and (row.error or {}).get("class") == ErrorClass.FORBIDDEN


def _json(body: Json, code: int = 200) -> Response:
    return Response(orjson.dumps(body), status_code=code, media_type="application/json")
