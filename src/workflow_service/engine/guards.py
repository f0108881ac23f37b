"""The guardrails as this replica asks them: the policy, what is declared, and what was done lately."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import InvalidAlert
from workflow_service.domain.guardrails import act_of, identity_of, judge_plan, scopes
from workflow_service.domain.guardrails_about import UNSURE, About, Act, Judgement, Latch, Past, Standing
from workflow_service.domain.levels import every
from workflow_service.domain.locking import OWNERS
from workflow_service.domain.plan import PLAIN, Plan
from workflow_service.domain.policy import Policy
from workflow_service.domain.target import NoTarget, Target, resolve
from workflow_service.store import changes, declared, requesters
from workflow_service.store.database import Database

FRESH = timedelta(seconds=1)  # for which what is declared counts as known: a halt is heard of within that everywhere
CONFIDENCE = "ai_confidence"  # in a plan's metadata: how sure an advisor was, 0..1
_LOOK_BACK = 1000  # ends of workflows that the breaker looks at, at most

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """A plan, the workflow that it is of, and the alert that it answers."""

    workflow_id: str
    alert: Mapping[str, Any]
    plan: Plan


class Guards:
    """One for all drives of a replica, and for whoever asks why."""

    def __init__(
        self,
        database: Database,
        *,
        policy: Callable[[], Policy],
        catalogue: Callable[[], Awaitable[Catalogue | None]],
        cluster: str,
        clock: Callable[[], datetime],
    ) -> None:
        self.policy, self.clock = policy, clock
        self._database, self._catalogue, self._cluster = database, catalogue, cluster
        self._standing = Standing()
        self._known_at: datetime | None = None
        self._news = 0  # how often something was declared here
        self._looking = asyncio.Lock()

    @property
    def sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self._database.sqlite

    def look_again(self) -> None:
        """What is declared has just changed here."""
        self._known_at, self._news = None, self._news + 1

    async def standing(self) -> Standing:
        """What is declared, as of a second ago at most.

        Raises:
            StoreUnavailable: the database is away.
        """
        if not self._fresh(self.clock()):
            async with self._looking:
                if not self._fresh(now := self.clock()):
                    news = self._news
                    found = await declared.standing(self._database, now)
                    self._standing = self._standing if found == self._standing else found
                    self._known_at = now if news == self._news else None
        return self._standing

    def _fresh(self, now: datetime) -> bool:
        return self._known_at is not None and timedelta() <= now - self._known_at < FRESH

    async def about(self, case: Case, *, whole: bool = False) -> About:
        """What is known around a plan, but for what was done lately.

        The catalogue is looked at only where a rule needs it, or `whole`: who holds it may be away.

        Raises:
            StoreUnavailable: the database is away.
        """
        needed = whole or self.policy().risk or case.plan.format != PLAIN or case.plan.creation_method.startswith("ai_")
        return replace(
            around(case, self._cluster),
            identity=await self._identity(case.workflow_id),
            catalogue=await self._catalogue() if needed else None,
            standing=await self.standing(),
        )

    async def judge(self, case: Case) -> Judgement:
        """What all rules say of a plan that is new, or goes on.

        Raises:
            StoreUnavailable: the database is away.
        """
        about, policy, now = await self.about(case), self.policy(), self.clock()
        about = replace(about, past=await self._past(case.plan, about, policy, now), standing=await self.standing())
        if (latch := await self._trips(about, policy, now)) is not None:
            await declared.latch(self._database, latch)
            log.warning("the breaker of an environment has tripped", environment=latch.environment, why=latch.why)
            self.look_again()
            about = replace(about, standing=await self.standing())
        return judge_plan(case.plan, about, policy, now)

    async def foresee(self, case: Case) -> tuple[Judgement, About]:
        """What all rules would say of a plan that is new, and what they know; nothing is declared.

        Raises:
            StoreUnavailable: the database is away.
        """
        about, policy, now = await self.about(case, whole=True), self.policy(), self.clock()
        about = replace(about, past=await self.whole_past(case.plan, about))
        if (latch := await self._trips(about, policy, now)) is not None:
            about = replace(about, standing=replace(about.standing, latches=(*about.standing.latches, latch)))
        return judge_plan(case.plan, about, policy, now), about

    async def whole_past(self, plan: Plan, about: About) -> Past:
        """What was done lately, budgets included.

        Raises:
            StoreUnavailable: the database is away.
        """
        policy, now = self.policy(), self.clock()
        past = await self._past(plan, about, policy, now)
        if not policy.budgets.bounded:
            return past
        keys = [(what, key) for act in _acts(plan, about) for what, key, _ in scopes(act, about, policy)]
        used = await changes.used(
            self._database,
            cluster=about.cluster,
            targets={key for what, key in keys if what == "target"},
            namespaces={key for what, key in keys if what == "namespace"},
            now=now,
        )
        return replace(past, used=used)

    async def _past(self, plan: Plan, about: About, policy: Policy, now: datetime) -> Past:
        if policy.oscillation.times is None:
            return Past()
        targets = {identity_of(act, about) for act in _acts(plan, about) if act.step.changes} - {""}
        since = now - policy.oscillation.window
        return Past(unhelpful=await changes.unhelpful(self._database, targets=targets, since=since))

    async def _trips(self, about: About, policy: Policy, now: datetime) -> Latch | None:
        """The latch with which the breaker of the environment trips now; None: it does not."""
        share, most = policy.breaker.share, policy.breaker.of
        environment = policy.environment(cluster=about.cluster, namespace=about.namespace)
        if share is None or any(one.environment == environment for one in about.standing.latches):
            return None
        since = await declared.reset_at(self._database, environment)
        ends = await changes.last_ends(self._database, since=since, most=_LOOK_BACK)
        here = [
            badly
            for cluster, namespace, badly in ends
            if policy.environment(cluster=cluster or self._cluster, namespace=namespace) == environment
        ][:most]
        if len(here) < most or sum(here) < share * most:
            return None
        return Latch(environment, f"{sum(here)} of the last {most} workflows ended badly", now)

    async def _identity(self, workflow_id: str) -> str:
        """Who ordered it; asked for only where the policy speaks of anybody."""
        policy = self.policy()
        if not any(scope.identities for scope in (*policy.allow, *policy.deny, *(f.scope for f in policy.freezes))):
            return ""
        return await requesters.maker(self._database, workflow_id)


def around(case: Case, cluster: str) -> About:
    """What plan and alert say by themselves."""
    plan, target = case.plan, _target(case.alert, cluster)
    owners = dict(plan.metadata.get(OWNERS) or {})
    related = {target.identity, owners.get(target.identity, target.identity)} if target else set[str]()
    namespace = (target.namespace if target else case.alert.get("namespace")) or ""
    sure = plan.metadata.get(CONFIDENCE)
    return About(
        workflow_id=case.workflow_id,
        cluster=target.cluster if target else cluster,
        namespace=namespace,
        method=plan.creation_method,
        plan=plan.rule or "",
        related=frozenset(related),
        owners=owners,
        confidence=float(sure) if isinstance(sure, int | float) else None,
        unsure=bool(plan.metadata.get(UNSURE)),
        replicas=_replicas(plan, target, owners),
    )


def _target(alert: Mapping[str, Any], cluster: str) -> Target | None:
    try:
        found = resolve(alert_from_json(alert), cluster)
    except InvalidAlert:
        return None
    return None if isinstance(found, NoTarget) else found


def _replicas(plan: Plan, target: Target | None, owners: Mapping[str, str]) -> Mapping[str, int]:
    """How many replicas were seen, of the target and of its owner."""
    facts = (plan.metadata.get("observation") or {}).get("facts") or {}
    if target is None:
        return {}
    owner = owners.get(target.identity, target.identity)
    seen = {target.identity: facts.get("replicas"), owner: (facts.get("owner") or facts).get("replicas")}
    return {name: number for name, number in seen.items() if isinstance(number, int)}


def _acts(plan: Plan, about: About) -> list[Act]:
    return [act for step, _ in every(plan.steps) if (act := act_of(step, None, about)) is not None]
