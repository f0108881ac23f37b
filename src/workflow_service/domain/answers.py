"""What a step's failure leads to: what the step says itself, else what the failure's class says."""

from __future__ import annotations

from dataclasses import replace

from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.plan import ByClass, OnFailure, RetryPolicy, Step

_NOTHING = ByClass()


def answer(step: Step, failure_class: FailureClass | None) -> OnFailure:
    """The answer to a failure of that class."""
    if step.alternative is not None:
        return step.on_failure
    return _said(step, failure_class).on_failure or step.on_failure


def retrying(step: Step, failure_class: FailureClass | None) -> RetryPolicy:
    """How a failure of that class is tried again."""
    most = _said(step, failure_class).max_retries
    return step.retry if most is None else replace(step.retry, max_retries=most)


def recovers(step: Step, failure_class: FailureClass | None) -> bool:
    """Whether a recovery is asked for after a failure of that class."""
    return _said(step, failure_class).recover


def does(step: Step) -> str:
    """Its action's type, else its kind."""
    return step.action.type if step.action else step.kind.value


def _said(step: Step, failure_class: FailureClass | None) -> ByClass:
    return step.by_class.get(failure_class, _NOTHING) if failure_class else _NOTHING
