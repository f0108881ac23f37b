"""The one place where facts are gathered and rules are asked, before each write of each action."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from executor_service.contract import Json, ObjectRef, Verb, Write
from executor_service.guards import rules
from executor_service.guards.asked import Asked
from executor_service.guards.facts import Facts, cordons
from executor_service.guards.places import Places
from executor_service.guards.rules import ClosedNamespaces, Earlier, Refusal
from executor_service.kubernetes.errors import ApiError, failure
from executor_service.ledger.audit import Audit
from executor_service.ledger.ledger import Ledger
from executor_service.policy import Policy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an action counts: a namespace or a node pool, how many may be there, and the setting that says so."""

    name: str
    limit: int
    setting: str


class Guard:
    """Raises ActionFailedError: refused by a rule, or, when the facts cannot be had, the API server's own failure."""

    def __init__(self, policy: Policy, closed: ClosedNamespaces, *, facts: Facts, ledger: Ledger, audit: Audit) -> None:
        self.policy = policy
        self.closed = closed
        self.places = Places()
        self._facts = facts
        self._ledger = ledger
        self._audit = audit
        self._deciding: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def order_refusal(self, action_type: str, namespace: str | None, *, changes: bool) -> Refusal | None:
        """What can be said of an order before anything is looked at."""
        return rules.action_refusal(self.policy, action_type) or (self.closed.refusal(namespace) if changes else None)

    def deciding(self, ref: ObjectRef) -> asyncio.Lock:
        """Held from `limit` until the intent is stored: two writes must not both see room for one."""
        return self._deciding[ref.namespace or ""]

    async def place(self, ref: ObjectRef) -> Place:
        """Where an action about this object counts."""
        if ref.kind == "Node":
            pool = await _ask(self._facts.pool(ref.name, self.policy.pool_labels), f"reading the pool of {ref}")
            return Place(f"node pool {pool}", self.policy.pool_limit, "MAX_CONCURRENT_PER_NODE_POOL")
        if ref.namespace is None:
            return Place("cluster", 0, "no setting limits it")
        return Place(f"namespace {ref.namespace}", self.policy.namespace_limit, "MAX_CONCURRENT_PER_NAMESPACE")

    async def restore(self) -> None:
        """After a restart, before anybody is served: whoever has begun has a place."""
        for key, place in await self._audit.places_of_running():
            self.places.restore(key, place)

    async def permit(self, write: Write, current: dict[str, Json], *, named: bool) -> None:
        """Whether the object may be changed at all. Holds for an undo too.

        `named`: the operator has named this very object for this action, so a protected namespace does not shield it.
        """
        _obey(await self.refusal(write.ref, current, named=named))

    async def refusal(self, ref: ObjectRef, current: dict[str, Json], *, named: bool = False) -> Refusal | None:
        """Why an object may not be changed at all, whatever the change; None when it may."""
        closed = self.closed.refusal(ref.namespace, named=named)
        if closed is not None:
            return closed
        return rules.marks_refusal(
            self.policy, await _ask(self._facts.marks(ref, current), f"reading what is said about {ref}")
        )

    async def limit(self, asked: Asked, write: Write, current: dict[str, Json]) -> None:
        """Whether it is too soon or too much. What is in doubt counts as done; it is read before the cluster is."""
        if asked.undo:
            return
        if asked.first:
            await self._rested(asked)
        in_doubt = [item.write for item in await self._ledger.in_doubt() if item.key != asked.key]
        if self.policy.unavailable_share < 1:
            looking = self._facts.outlook(write, current, in_doubt)
            outlook = await _ask(looking, f"counting the pods around {write.ref}")
            _obey(rules.unavailable_refusal(self.policy, outlook))
        drains = asked.first and write.verb is Verb.EVICT and asked.subject.kind == "Node"
        if self.policy.cordoned_share < 1 and (drains or cordons(write)):
            nodes = await _ask(self._facts.nodes(in_doubt), "counting nodes")
            _obey(rules.cordoned_refusal(self.policy, asked.subject.name if drains else write.ref.name, nodes))

    async def _rested(self, asked: Asked) -> None:
        if not self.policy.cooldown:
            return
        now = time.time()
        since = now - self.policy.cooldown
        found = await self._audit.latest_change(asked.type, asked.subject, since=since, besides=asked)
        earlier = Earlier(max(now - found.at, 0.0), found.workflow_id) if found is not None else None
        _obey(rules.cooldown_refusal(self.policy, asked.type, asked.subject, earlier))


def full(place: Place) -> Refusal:
    """The refusal of somebody who has waited long enough."""
    return rules.place_refusal(place.name, place.limit, place.setting)


def _obey(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise refusal.error()


async def _ask(answer: Awaitable[T], what: str) -> T:
    try:
        return await answer
    except ApiError as error:
        raise failure(error, what) from error
