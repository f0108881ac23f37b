"""Which templates speak of an alert, the most specific first, and whether one fits what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workflow_service.domain.alert import Alert
from workflow_service.domain.expressions import EvaluationFailed, Type, compile_expression
from workflow_service.domain.failure_class import fits
from workflow_service.planning.deriving import environment, known
from workflow_service.planning.situation import DoesNotFit, Situation
from workflow_service.planning.templates import KNOWN, Template

_EXACT = 1000  # more than any pattern has


def speaking(templates: Iterable[Template], alert: Alert) -> list[Template]:
    """Those whose alert names include this one, in the order in which they are to be tried.

    That is by how exactly they name the alert, then its namespace, then by how much else they ask for; by name at last.
    """
    found = [one for one in templates if one.match is not None and _rank(one.match.alertnames, alert.name)]
    return sorted(found, key=lambda one: (tuple(-number for number in specificity(one, alert)), str(one.reference)))


def specificity(template: Template, alert: Alert) -> tuple[int, ...]:
    """How closely a template speaks of an alert; compared number by number, larger is closer."""
    match, when = template.match, template.rule.when
    if match is None:
        return (0, 0, 0)
    others = (match.environments, when.severities, when.kinds, when.owners, when.observed, match.expression)
    return (
        _rank(match.alertnames, alert.name),
        _rank(match.namespaces, alert.namespace or ""),
        sum(bool(one) for one in others),
    )


def expect_fit(template: Template, here: Situation) -> None:
    """See that a template which speaks of the alert fits it; kinds, owners and severities are asked for by its rule.

    Raises:
        DoesNotFit: it does not.
    """
    match = template.match
    if match is None:
        raise DoesNotFit("only orders lead to it")
    for what, globs, have in (
        ("namespace", match.namespaces, here.alert.namespace or ""),
        ("environment", match.environments, environment(here.alert)),
    ):
        if globs and not _rank(globs, have):
            raise DoesNotFit(f"{what} is {have or 'not said'}, not {' or '.join(globs)}")


def expect_true(template: Template, here: Situation, parameters: Mapping[str, Any]) -> None:
    """See that a template's own condition holds.

    Raises:
        DoesNotFit: it does not, or cannot be evaluated.
    """
    if template.match is None or template.match.expression is None:
        return
    source = template.match.expression
    values = known(here) | {f"params.{name}": value for name, value in parameters.items()}
    try:
        holds = compile_expression(source, {**KNOWN, **template.types}, expects=Type.BOOL).evaluate(values)
    except EvaluationFailed as failed:
        raise DoesNotFit(f"when ({source}) cannot be said: {failed}") from None
    if not holds:
        raise DoesNotFit(f"when ({source}) does not hold")


def _rank(globs: Iterable[str], text: str) -> int:
    """How closely the text is named: as it is, by a pattern with so many characters of its own, or not at all (0)."""
    return max(
        (1 + len(glob.replace("*", "")) if "*" in glob else _EXACT for glob in globs if fits(glob, text)), default=0
    )
