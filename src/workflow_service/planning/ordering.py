"""What somebody orders by hand: a template with parameters, and the alert that stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_service.domain.alert import Alert, shown
from workflow_service.domain.errors import InvalidPlan, NotFound, Rejected, Unfit, Violation
from workflow_service.domain.expressions import EvaluationFailed, Type, compile_expression
from workflow_service.domain.target import NoTarget, resolve
from workflow_service.planning.deriving import ordered, violations
from workflow_service.planning.library import Library
from workflow_service.planning.templates import Order, Template

SEVERITY = "info"  # of what is ordered: nothing is wrong that is known


def read_order(document: Mapping[str, Any], library: Library) -> Order:
    """The order of a request's `template` and `parameters`.

    Raises:
        Rejected: it cannot be read; as `Unfit`, there is no such template, or the parameters break its schema.
    """
    name, parameters = document.get("template"), document.get("parameters", {})
    if not isinstance(name, str) or not isinstance(parameters, Mapping):
        wrong = "template" if not isinstance(name, str) else "parameters"
        rule = "must be a name such as restart-deployment@1.0.0" if wrong == "template" else "must be an object"
        raise Rejected("the order cannot be read", [Violation(wrong, shown(document.get(wrong)), rule)])
    order = Order(_found(name, library), dict(parameters))
    if broken := violations(order.template, ordered(order.template, parameters).values):
        raise Unfit(f"the parameters are not those of {order.template.reference}", broken)
    return order


def alert_of(order: Order, cluster: str) -> Alert:
    """The alert that stands for an order: about the template's target, named like the template.

    Raises:
        Unfit: the template's target cannot be told from the parameters.
    """
    template, values = order.template, ordered(order.template, order.parameters).values
    namespace, resource = None, None
    if template.target is not None:
        namespace = _text(template, template.target.namespace, values) if template.target.namespace else None
        resource = f"{template.target.kind.lower()}/{_text(template, template.target.name, values)}"
    alert = Alert(
        name=template.reference.name,
        severity=SEVERITY,
        namespace=namespace,
        resource=resource,
        summary=f"order of {template.reference}: {template.rule.reason}",
        labels={"template": str(template.reference)},
    )
    found = resolve(alert, cluster)
    if template.target is not None and isinstance(found, NoTarget):
        raise Unfit("the order has no target", [Violation("parameters", resource, found.reason)])
    return alert


def kept(order: Order) -> dict[str, Any]:
    """An order as it is stored: a version by its name, so that it stays the same."""
    return {"template": str(order.template.reference), "parameters": dict(order.parameters)}


def order_of(stored: Mapping[str, Any], library: Library) -> Order:
    """A stored order.

    Raises:
        InvalidPlan: its template is not known any more.
    """
    name, _, version = str(stored["template"]).partition("@")
    try:
        return Order(library.find(name, version), stored["parameters"])
    except NotFound as error:
        raise InvalidPlan("what was ordered", [Violation("template", stored["template"], str(error))]) from None


def _found(name: str, library: Library) -> Template:
    bare, _, version = name.partition("@")
    try:
        return library.find(bare, version or None)
    except NotFound as error:
        raise Unfit("the order cannot be carried out", [Violation("template", shown(name), str(error))]) from None


def _text(template: Template, source: str, values: Mapping[str, Any]) -> str:
    known = {f"params.{name}": value for name, value in values.items()}
    try:
        return str(compile_expression(source, template.types, expects=Type.STRING).evaluate(known))
    except EvaluationFailed as failed:
        raise Unfit("the order has no target", [Violation("parameters", source, str(failed))]) from None
