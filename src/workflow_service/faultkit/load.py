"""Sending the alerts over all replicas as Alertmanager would, giving the commands, and watching until all is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from workflow_service.faultkit.calls import Address, Answer, Silence, ask, insist
from workflow_service.faultkit.cluster import Cluster
from workflow_service.faultkit.workload import Alert, Order

SENDERS = 8
LOOK = 1.0  # seconds between looks at the newest workflows
PAGE = 200
TOO_LONG = 300.0  # seconds after which one that is open does not keep further alerts from being sent
ACTOR = {"X-Service-Name": "faultkit"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """One alert's answer. `workflow_id` is None when the answer names none: that alert is lost."""

    alert: Alert
    status: int  # 503 when nobody has answered anything else
    workflow_id: str | None
    execution_id: str | None


@dataclass(slots=True)
class Flow:
    """What is known about the load at this moment."""

    accepted: dict[int, Accepted] = field(default_factory=dict)  # by the alert's number
    open: dict[str, str] = field(default_factory=dict)  # workflow -> its first execution, accepted and not seen ended
    since: dict[str, float] = field(default_factory=dict)  # workflow -> loop time of its acceptance
    moved: asyncio.Event = field(default_factory=asyncio.Event)  # set whenever one of these changes

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once that holds."""
        while not holds():
            self.moved.clear()
            await self.moved.wait()


class Load:
    """One run's alerts on their way."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        cluster: Cluster,
        replicas: Sequence[Address],
        *,
        rng: Random,
        at_once: int,
    ) -> None:
        """`at_once`: alerts that may be accepted and not over."""
        self._session, self._cluster, self._replicas = session, cluster, replicas
        self._rng, self._at_once = rng, at_once
        self.flow = Flow()
        self._orders: list[asyncio.Task[None]] = []

    async def send(self, alerts: Sequence[Alert], may_send: Callable[[int], bool]) -> None:
        """Send all, each until it is accepted; no more at once than allowed, and none before `may_send` says so."""
        waiting = iter(alerts)
        watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(SENDERS):
                    group.create_task(self._send(waiting, may_send))
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def orders_given(self) -> None:
        """Return once every command was given."""
        await asyncio.gather(*self._orders)

    async def pages(self) -> list[Mapping[str, Any]]:
        """Every workflow there is, as the list shows it."""
        found: list[Mapping[str, Any]] = []
        cursor = ""
        while True:
            page = (await self.get(f"/api/v1/workflows?limit={PAGE}{cursor}")).document
            found += page["workflows"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def get(self, path: str) -> Any:
        """A document from whichever replica answers."""
        return await insist(self._session, "GET", lambda: self._any() + path)

    async def command(self, workflow_id: str, verb: str, *, undo: bool = False) -> None:
        """Tell a workflow what to do; a refusal is an answer."""
        body: dict[str, Any] = {"reason": f"the fault kit wants to see what {verb} does"}
        if undo:
            body["undo"] = True
        path = f"/api/v1/workflows/{workflow_id}/{verb}"
        await insist(self._session, "POST", lambda: self._any() + path, body, headers=ACTOR)

    def _any(self) -> str:
        return self._rng.choice(self._replicas)()

    def _execute(self) -> str:
        return f"{self._any()}/api/v1/execute"

    async def _send(self, waiting: Any, may_send: Callable[[int], bool]) -> None:
        for alert in waiting:
            # It is awaited before the loop goes on.
            await self.flow.until(lambda: len(self.flow.open) < self._at_once and may_send(alert.number))  # noqa: B023
            for trouble in alert.troubles:
                await self._cluster.trouble(alert.target, trouble)
            headers = {**ACTOR, "Prefer": "respond-async"}
            try:
                answer = await insist(self._session, "POST", self._execute, alert.body, headers=headers)
            except Silence:
                answer = Answer(503, None)
            self._accept(alert, answer.status, answer.document)

    def _accept(self, alert: Alert, status: int, document: Any) -> None:
        result = document.get("result", {}) if isinstance(document, Mapping) else {}
        accepted = Accepted(alert, status, result.get("workflow_id") or None, result.get("execution_id") or None)
        self.flow.accepted[alert.number] = accepted
        if accepted.workflow_id is not None:
            self.flow.open[accepted.workflow_id] = accepted.execution_id or ""
            self.flow.since[accepted.workflow_id] = asyncio.get_running_loop().time()
            if alert.order is not None:
                self._orders.append(asyncio.create_task(self._order(accepted.workflow_id, alert.order)))
        self.flow.moved.set()

    async def _order(self, workflow_id: str, order: Order) -> None:
        await asyncio.sleep(order.after)
        await self.command(workflow_id, order.verb, undo=order.undo)
        if order.verb == "pause":
            await asyncio.sleep(order.lasts)
            await self.command(workflow_id, "resume")

    async def _watch(self) -> None:
        """Notice what is over. The newest are nearly all that is open; the rest is asked for singly."""
        while True:
            await asyncio.sleep(LOOK)
            newest = min(PAGE, 2 * self._at_once)
            page = await ask(self._session, "GET", f"{self._any()}/api/v1/workflows?limit={newest}")
            if page is None or page.status != 200:
                continue
            shown = {one["workflow_id"]: one for one in page.document["workflows"]}
            for workflow_id in [one for one in self.flow.open if one not in shown]:
                single = await ask(self._session, "GET", f"{self._any()}/api/v1/workflows/{workflow_id}")
                if single is not None and single.status == 200:
                    shown[workflow_id] = single.document
            old = asyncio.get_running_loop().time() - TOO_LONG
            for workflow_id in [*self.flow.open]:
                if shown.get(workflow_id, {}).get("ended_at") or self.flow.since[workflow_id] < old:
                    del self.flow.open[workflow_id]
            self.flow.moved.set()
