"""Failure classes: which pattern wins, what the shipped ones say, and that no text makes them slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.errors import ErrorClass
from workflow_service.domain.failure_class import FailureClass, Pattern, Patterns, fits, worst
from workflow_service.domain.failures import Failure, normalised

SHIPPED = Patterns()
CRITICAL, HIGH, MEDIUM, LOW = FailureClass


@pytest.mark.parametrize(
    ("error", "message", "action", "expected"),
    [
        (ErrorClass.TRANSIENT, "the API server is away", "scale_deployment", MEDIUM),
        (ErrorClass.THROTTLED, "too many requests", "scale_deployment", MEDIUM),
        (ErrorClass.CONFLICT, "somebody else has changed it", "scale_deployment", MEDIUM),
        (ErrorClass.NOT_FOUND, "no such deployment", "scale_deployment", HIGH),
        (ErrorClass.FORBIDDEN, "not allowed", "scale_deployment", HIGH),
        (ErrorClass.TIMEOUT, "context deadline exceeded", "restart_pod", HIGH),
        (ErrorClass.UNKNOWN, "another ledger", "restart_pod", HIGH),
        (ErrorClass.WRONG_CLUSTER, "that is not my cluster", "notify_team", CRITICAL),
        (ErrorClass.PERMANENT, "write /var: No Space Left on device", "scale_deployment", CRITICAL),
        (ErrorClass.TRANSIENT, "node ran Out Of Memory", "restart_pod", CRITICAL),
        (ErrorClass.TRANSIENT, "refused", "apply_network_policy", CRITICAL),
        (ErrorClass.PERMANENT, "the webhook says out of memory", "notify_oncall", LOW),
        (None, "three are ready", "check", HIGH),
    ],
)
def test_what_the_shipped_patterns_say(
    error: ErrorClass | None, message: str, action: str, expected: FailureClass
) -> None:
    """Critical is what is larger than the action, low what cures nothing, medium what may pass, high the rest."""
    assert SHIPPED.classify(error=error, message=message, action=action) is expected


def test_the_operators_patterns_come_first_and_the_first_that_matches_wins() -> None:
    """All that a pattern names must match; case does not matter."""
    own = Patterns(
        (
            Pattern(LOW, errors=("FORBIDDEN",), messages=("quota",), actions=("scale_*",)),
            Pattern(CRITICAL, errors=("forbidden",)),
            Pattern(LOW, errors=("*",), messages=("never reached",), actions=("nothing",)),
        )
    )
    quota = own.classify(error=ErrorClass.FORBIDDEN, message="exceeded Quota: pods", action="scale_deployment")
    other = own.classify(error=ErrorClass.FORBIDDEN, message="exceeded quota: pods", action="restart_pod")
    shipped = own.classify(error=ErrorClass.CONFLICT, message="exceeded quota", action="scale_deployment")
    assert (quota, other, shipped) == (LOW, CRITICAL, MEDIUM)


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("scale_*", "scale_deployment", True),
        ("scale_*", "autoscale_deployment", False),
        ("*_pod", "restart_pod", True),
        ("*_pod", "restart_pods", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("ab*ba", "aba", False),
        ("*", "", True),
        ("[a-z]", "b", False),
        ("restart_pod", "Restart_Pod", True),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_is_special(glob: str, text: str, expected: bool) -> None:
    """Globs hold as a whole, and are no regular expressions."""
    assert fits(glob, text) is expected


@given(st.lists(st.text("ab*", max_size=8), max_size=5), st.text("ab", max_size=300))
def test_a_glob_of_its_own_text_fits(parts: list[str], text: str) -> None:
    """However it is cut and starred, a text fits what is made of it; whatever the glob, there is an answer."""
    glob = "*".join([text[: len(text) // 2], *(part for part in parts if part == "*"), text[len(text) // 2 :]])
    assert fits(glob, text)
    assert fits("*".join(parts), text) in {True, False}


def test_the_worst_class_speaks_for_many() -> None:
    """None counts for nothing."""
    assert worst([LOW, None, HIGH, MEDIUM]) is HIGH
    assert worst([None]) is None


def failure(message: str, *, error: ErrorClass = ErrorClass.PERMANENT, action: str = "restart_pod") -> Failure:
    """A failure of that message."""
    return Failure("cure", "cure", action, error, HIGH, message)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pod web-6d4f9bcd5-x7k2p is not ready", "Pod web-5f7c8dd9b-qz9lm is not ready"),
        ("pod web-xkzpq is gone", "pod web-bcdfg is gone"),
        ("2 of 3 are ready after 120.5 s", "1 of 3   are ready after 61 s"),
        (
            "request 0f8fad5b-d9cb-469f-a165-70867728950e failed",
            "request 7c9e6679-7425-40de-944b-e07fc1f90ae7 failed",
        ),
    ],
)
def test_the_same_failure_has_the_same_signature(one: str, other: str) -> None:
    """Numbers, made-up names, case and gaps do not make another failure of it."""
    assert failure(one).signature == failure(other).signature


def test_another_failure_has_another_signature() -> None:
    """Another action, another error class or another message."""
    plain = failure("image not found")
    others = [
        failure("image not pulled"),
        failure("image not found", error=ErrorClass.TIMEOUT),
        failure("image not found", action="scale_deployment"),
    ]
    assert plain.signature not in {one.signature for one in others}


@given(st.text(max_size=5000))
def test_any_message_has_a_short_signature(message: str) -> None:
    """Whatever an executor says, the signature is short and says the same of what it has said already."""
    assert len(normalised(message)) <= 200
    assert normalised(normalised(message)) == normalised(message) or len(normalised(message)) == 200
