"""Every boundary on one screen: what leaves the process and comes back, as Protocols.

A Protocol is here when two real implementations exist, or when a test cannot run the real thing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain.advice import Question, Reply
from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failures import Failure
from workflow_service.domain.letters import Message
from workflow_service.domain.mending import Remedy
from workflow_service.domain.plan import Plan
from workflow_service.domain.run_state import Recovery
from workflow_service.domain.target import Target


class ActionRequest(NamedTuple):
    """One attempt at one action, as the executor gets it. `key` makes it happen at most once."""

    key: str
    step_id: str
    type: str
    parameters: Mapping[str, Any]
    alert: Mapping[str, Any]
    workflow_id: str
    execution_id: str
    attempt: int
    remaining_seconds: float
    cluster: str
    critical: bool = True
    priority: int = 5
    estimated_duration: float | None = None
    dry_run: bool = False
    ledger_id: str | None = None  # the ledger that is to remember the key; an executor with another begins nothing


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """The executor's word on one key: still running, or final for ever."""

    status: str  # running | completed | failed | refused | cancelled
    message: str = ""
    action_id: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[Mapping[str, Any], ...] = ()
    undo_available: bool = False
    undo_reason: str | None = None
    error_class: ErrorClass | None = None
    ledger_id: str | None = None
    progress: str | None = None

    @property
    def final(self) -> bool:
        """No later answer for this key will differ."""
        return self.status != "running"

    @property
    def success(self) -> bool:
        """The action did what it was asked to do."""
        return self.status == "completed"


@dataclass(frozen=True, slots=True)
class NeverSeen:
    """The executor's ledger has no such key. `ledger_id` says which ledger spoke."""

    ledger_id: str | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What the executor sees of an object right now."""

    found: bool
    facts: Mapping[str, Any]
    owners: tuple[Target, ...]  # nearest first, top last
    observed_at: datetime


class Executor(Protocol):
    """The hand that touches the cluster (port 8084).

    Every method raises `Unreachable` when nothing can have arrived, `Unanswered` when it may have, `Misunderstood`
    when the executor calls the request itself wrong. None retries an effect.
    """

    async def ledger_id(self) -> str | None:
        """The executor's present ledger; None when a foreign executor keeps none. May be cached for a few seconds."""
        ...

    async def execute(self, request: ActionRequest) -> ActionOutcome:
        """Ask for the action; the answer may still be `running`.

        Raises:
            OtherLedger: the request is for another ledger than the present one; nothing was begun.
        """
        ...

    async def by_key(self, key: str) -> ActionOutcome | NeverSeen:
        """What became of that key."""
        ...

    async def cancel(self, key: str) -> ActionOutcome:
        """Forbid the key for ever, or stop it, or learn that it is done; may still answer `running`."""
        ...

    async def catalogue(self) -> tuple[Catalogue, Mapping[str, Any]]:
        """What it offers, and the raw document to keep."""
        ...

    async def observe(self, target: Target) -> Observation:
        """Look at an object now, never from a cache."""
        ...

    async def measure(self, promql: str) -> Observation:
        """Ask Prometheus, through the executor: `value` (of the first series), `values` (of all), `series` (how many).

        What has no series is not found.
        """
        ...

    async def healthy(self) -> bool:
        """Whether it answers; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Appeal:
    """What is asked of whoever may know another way."""

    alert: Mapping[str, Any]
    plan: Plan
    failure: Failure
    attempt: int  # 1 is the workflow's first
    history: tuple[Recovery, ...]
    denied: tuple[str, ...] = ()  # options that guardrails do not let be, just now


@dataclass(frozen=True, slots=True)
class NoRemedy:
    """Nobody knows another way. `reason` is for machines."""

    reason: str
    why: str


Recover = Callable[[Appeal], Awaitable[Remedy | NoRemedy]]


@dataclass(frozen=True, slots=True)
class Supposed:
    """What is simulated: an alert, an order (with the alert that stands for it), a workflow's plan, or any plan."""

    alert: Alert | None = None
    ordered: Mapping[str, Any] | None = None  # a template, and its parameters
    workflow_id: str | None = None
    plan: Plan | None = None
    advise: bool = True  # whether an advisor is asked as in real planning


Simulate = Callable[[Supposed], Awaitable[Mapping[str, Any]]]
"""Tells as plain values what would happen, and changes nothing."""


class Advisor(Protocol):
    """Who may know better than the rules. Asking never raises and never takes longer than the advisor's budget.

    Without an answer that may be used the reply says why, at once where nobody is there: planning goes on by the rules.
    `within`: how many seconds are left for it, where that is less than the budget.
    """

    @property
    def there(self) -> bool:
        """Whether somebody answered when last looked for."""
        ...

    async def look(self) -> None:
        """Look whether somebody is there, and who; never raises."""
        ...

    async def select(self, question: Question, *, within: float | None = None) -> Reply:
        """Which candidate fits the alert, with its parameters; none is an answer too."""
        ...

    async def enhance(self, question: Question, *, within: float | None = None) -> Reply:
        """Better parameters, priorities and durations for planned steps (the candidates), and actions besides."""
        ...

    async def generate(self, question: Question, *, within: float | None = None) -> Reply:
        """The actions of a whole plan, among those that may be in one (the candidates), in order."""
        ...

    async def recover(self, question: Question, *, within: float | None = None) -> Reply:
        """Why a step has failed (`question.setback`), and which option heals it."""
        ...


class Channel(Protocol):
    """A way to tell somebody outside."""

    async def tell(self, message: Message) -> None:
        """Tell it once; the message's id is the same in every try.

        Raises:
            NotTold: nobody has taken it.
        """
        ...


class EventBus(Protocol):
    """Tells who waits that something changed. Lossy by contract: whoever waits also looks by itself now and then."""

    async def publish(self, topic: str) -> None:
        """Wake everybody who waits for `topic`, here and on other replicas."""
        ...

    async def wait(self, topic: str, *, timeout: float) -> bool:
        """True as soon as `topic` was published, False after `timeout` seconds."""
        ...

    async def healthy(self) -> bool:
        """Whether wake-ups pass between replicas; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Drive:
    """One uninterrupted ride of an execution on one replica."""

    execution_id: str
    generation: int

    @property
    def id(self) -> str:
        """`<execution_id>.<generation>`, the durable name of this ride."""
        return f"{self.execution_id}.{self.generation}"


class Engine(Protocol):
    """The durable queue that brings drives to replicas."""

    async def enqueue(self, connection: AsyncConnection, drive: Drive, *, queue: str, priority: int) -> None:
        """Make the ride happen once `connection`'s transaction commits; a known drive id is left as it is.

        Within a queue the lowest `priority` (1 .. 2**31 - 1) goes first.
        """
        ...

    async def fate(self, drive: Drive) -> str:
        """How far the durable queue says this ride got: waiting | claimed | ended | unknown."""
        ...

    async def start(self, body: Callable[[Drive, str], Awaitable[None]]) -> None:
        """Begin to take drives from the queues; `body` gets each with its queue's name, on the running event loop."""
        ...

    async def stop(self) -> None:
        """Take no more drives; those that run have been told to stop by the caller."""
        ...
