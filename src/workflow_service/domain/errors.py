"""Every error this service raises on purpose, as one tree.

WorkflowServiceError
├── Rejected                 the caller's input breaks a rule (HTTP 400; names field, value, rule)
│   ├── Unfit                it has the form that was asked for, and breaks a rule beyond that (HTTP 422)
│   ├── InvalidAlert         the alert cannot be understood
│   ├── InvalidPlan          a plan breaks a rule of the plan format
│   ├── InvalidExpression    an expression of a plan or template cannot be evaluated, ever
│   ├── InvalidRules         the operator's rule file breaks its format
│   ├── InvalidPolicy        the operator's policy file breaks its format
│   └── InvalidAdvice        an advisor's answer cannot become a plan
├── Unauthenticated          nobody that is known here has called (HTTP 401)
├── Forbidden                whoever called may not do this (HTTP 403)
├── ProviderAway             who could tell who calls does not answer (HTTP 503)
├── AdvisorAway              an advisor gives no answer; never leaves `clients.advisors`, where it becomes a value
├── NotFound                 no such workflow, execution or alert (HTTP 404)
├── Stale                    what was to be changed is not in the expected version any more (HTTP 412)
├── IllegalTransition        a state machine was asked for a move it does not have; nothing changed
├── Fenced                   another drive owns this execution now; the loser stops without a trace
├── Crowded                  so many ask for the same at once that nobody would be served (HTTP 503)
├── StoreUnavailable         our own database did not take it; the caller may try again (HTTP 503)
│   └── TooNew               a newer version has written it; a replica of that version can read it
└── ExecutorError            a call to the executor brought no result
    ├── Unreachable          the request certainly did not arrive: nothing can have happened
    ├── Unanswered           the request may have arrived: the outcome is unknown until asked for by key
    ├── OtherLedger          the order was for a ledger that is gone: this time nothing was begun
    └── Misunderstood        the executor refused the request as malformed (4xx): sending it again cannot help

What a *finished* action answers is never an exception: it is a value with an `ErrorClass`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ErrorClass(StrEnum):
    """Why an action did not succeed, in the executor's words (the wire values of its contract)."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TIMEOUT = "timeout"
    WRONG_CLUSTER = "wrong_cluster"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: where, what was given, what would be right."""

    field: str
    value: object
    rule: str

    def __str__(self) -> str:
        shown = repr(self.value)
        short = shown if len(shown) <= 200 else f"{shown[:197]}..."
        return f"{self.field}: {short} {self.rule}"


class WorkflowServiceError(Exception):
    """Root of the tree."""


class Rejected(WorkflowServiceError):
    """Input that breaks rules; carries every violation found, not only the first."""

    def __init__(self, message: str, violations: Sequence[Violation] = ()) -> None:
        detail = "; ".join(str(violation) for violation in violations)
        super().__init__(f"{message}: {detail}" if detail else message)
        self.violations = tuple(violations)


class Unfit(Rejected):
    """Input of the right form that breaks a rule which no schema tells: an expression, an order of times."""


class InvalidAlert(Rejected):
    """The alert cannot be understood."""


class InvalidPlan(Rejected):
    """A plan breaks a rule of the plan format."""


class InvalidExpression(Rejected):
    """An expression is wrong whatever it is given: syntax, unknown name, wrong type, over a cap."""


class InvalidRules(Rejected):
    """The rule file breaks its format."""


class InvalidPolicy(Rejected):
    """The policy file breaks its format."""


class InvalidAdvice(Rejected):
    """An advisor's answer breaks its format, or asks for what no plan may do."""


class Unauthenticated(WorkflowServiceError):
    """Nobody that is known here has called; the message tells nothing about who would be."""


class Forbidden(WorkflowServiceError):
    """Whoever called is known, and may not do this."""


class ProviderAway(WorkflowServiceError):
    """An identity provider does not answer, so that nobody can tell who calls; the caller may try again."""


class NotTold(WorkflowServiceError):
    """Whoever was to be told of something has not taken it."""

    def __init__(self, message: str, *, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait  # seconds for which they want to be left alone


class AdvisorAway(WorkflowServiceError):
    """An advisor gives no answer. `reason` is for machines; `passing`: another request may do better.

    `silent`: nothing came back that shows it alive. `retry_after`: seconds that it asks to be left alone for.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        passing: bool = False,
        silent: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason, self.passing, self.silent, self.retry_after = reason, passing, silent, retry_after


class NotFound(WorkflowServiceError):
    """No such object."""


class Stale(WorkflowServiceError):
    """What was to be changed is not in one of the versions that the caller expected; nothing was done."""


class IllegalTransition(WorkflowServiceError):
    """A state machine was asked for a move that its table does not have."""


class Fenced(WorkflowServiceError):
    """Another drive has raised the execution's generation; this one must stop."""


class TargetsTaken(WorkflowServiceError):
    """Nothing was written: these targets are another execution's."""

    def __init__(self, targets: frozenset[str]) -> None:
        super().__init__(f"taken by another execution: {', '.join(sorted(targets))}")
        self.targets = targets


class BudgetSpent(WorkflowServiceError):
    """Nothing was written: a step would begin a change for which the hour has no room."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(f"{step}: {why}")
        self.step, self.why = step, why


class Crowded(WorkflowServiceError):
    """So many ask for the same costly thing at once that nobody would be served; the caller may try again."""


class StoreUnavailable(WorkflowServiceError):
    """Our own database did not take the write or answer the read."""


class TooNew(StoreUnavailable):
    """A newer version has driven the execution, and this one cannot be sure to understand what it has written."""


class ExecutorError(WorkflowServiceError):
    """A call to the executor brought no result."""


class Unreachable(ExecutorError):
    """The request certainly did not arrive (refused, no route, name unknown, connect timeout)."""


class Unanswered(ExecutorError):
    """The request may have arrived; only a question by key tells."""


class OtherLedger(ExecutorError):
    """The executor keeps another ledger than the one that the order was for: nothing was begun."""


class Misunderstood(ExecutorError):
    """The executor calls the request itself wrong (4xx)."""
