"""The rules that are asked about every single step, when its plan is made and again before it begins. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from workflow_service.domain.guardrails_about import About, Act, Finding
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.policy import Policy, Word, fits

Rule = Callable[[Act, About, Policy, datetime], Finding | None]  # None: nothing to say against it


def _catalogue(act: Act, about: About, _policy: Policy, _now: datetime) -> Finding | None:
    """Only what the executor offers; who made the plan without an advisor is refused by the executor itself."""
    if about.catalogue is None or act.type in about.catalogue.actions:
        return None
    if not about.by_advisor:
        return None
    return Finding("catalogue", Word.DENIED, "is no action of the catalogue", act.at("type"), act.type)


def _parameters(act: Act, about: About, _policy: Policy, _now: datetime) -> Finding | None:
    """The schema of its action; without an advisor or an expression planning has held it already."""
    if not about.by_advisor and not act.filled:
        return None
    known = about.catalogue.actions.get(act.type) if about.catalogue is not None else None
    if known is None:
        return None
    wrong = known.violations(act.parameters, at=act.at("parameters"))
    if not wrong:
        return None
    return Finding("parameters", Word.DENIED, wrong[0].rule, wrong[0].field, wrong[0].value)


def _target(act: Act, about: About, _policy: Policy, _now: datetime) -> Finding | None:
    """What an advisor's plan touches is what the alert is about, or what owns that."""
    if not about.by_advisor or (act.target is None and not act.step.changes):
        return None
    if has_expressions(act.parameters):
        return None  # it is asked again with their values
    if act.target is None:
        return Finding("target", Word.DENIED, "changes something that it does not name", act.at("parameters"))
    identity = act.target.identity
    if identity in about.related:
        return None
    why = "is neither what the alert is about nor an owner of that"
    return Finding("target", Word.DENIED, why, act.at("parameters"), identity)


def _protected(act: Act, about: About, policy: Policy, _now: datetime) -> Finding | None:
    if not act.step.changes:
        return None
    namespace = act.namespace(about)
    if namespace and namespace == policy.own_namespace:
        return Finding("protected", Word.DENIED, "is where this service runs", act.at("namespace"), namespace)
    if namespace and policy.protected_namespaces and fits(namespace, policy.protected_namespaces):
        return Finding("protected", Word.DENIED, "is a protected namespace", act.at("namespace"), namespace)
    if act.target is not None and policy.protected_kinds and fits(act.target.kind, policy.protected_kinds):
        return Finding("protected", Word.DENIED, "is a protected kind", act.at("kind"), act.target.kind)
    return None


def _lists(act: Act, about: About, policy: Policy, _now: datetime) -> Finding | None:
    if not act.step.changes or not (policy.deny or policy.allow):
        return None
    place = act.place(about, policy)
    where = f"{place.environment}/{place.namespace or '-'} by {place.identity or 'nobody'}, {place.method}"
    for index, scope in enumerate(policy.deny):
        if scope.covers(place):
            return Finding("lists", Word.DENIED, f"deny.{index} speaks of {where}", act.at("type"), act.type)
    if policy.allow and not any(scope.covers(place) for scope in policy.allow):
        return Finding("lists", Word.DENIED, f"nothing in allow speaks of {where}", act.at("type"), act.type)
    return None


def _risk(act: Act, about: About, policy: Policy, _now: datetime) -> Finding | None:
    known = about.catalogue.actions.get(act.type) if about.catalogue is not None and policy.risk else None
    if known is None or not act.step.changes:
        return None
    environment = act.place(about, policy).environment
    word = policy.word_for(known.risk, environment)
    if word is Word.ALLOWED:
        return None
    return Finding("risk", word, f"{act.type} is of {known.risk} risk in {environment}", act.at("type"), known.risk)


def _scale(act: Act, about: About, policy: Policy, _now: datetime) -> Finding | None:
    wanted, blast = act.parameters.get("replicas"), policy.blast
    if not act.step.changes or isinstance(wanted, bool) or not isinstance(wanted, int):
        return None
    field, bound = act.at("parameters", "replicas"), about.by_advisor or blast.scale_of_rules
    if bound and wanted == 0 and not blast.scale_to_zero:
        return Finding("scale", Word.DENIED, "scales to zero (blast.scale_to_zero)", field, wanted)
    there = about.replicas.get(act.target.identity) if act.target is not None else None
    if there is None:
        return None
    if bound and blast.scale_factor is not None and wanted > max(there * blast.scale_factor, there + 1):
        why = f"is more than {blast.scale_factor:g} times the {there} that are there (blast.scale_factor)"
        return Finding("scale", Word.DENIED, why, field, wanted)
    share = blast.share_of_replicas
    if share is not None and there - wanted > max(there * share, 1):
        why = f"takes away more than {share:.0%} of the {there} that are there (blast.share_of_replicas)"
        return Finding("scale", Word.DENIED, why, field, wanted)
    return None


def _freeze(act: Act, about: About, policy: Policy, now: datetime) -> Finding | None:
    found = policy.frozen(act.place(about, policy), now) if policy.freezes and act.step.changes else None
    if found is None:
        return None
    freeze, until = found
    why = f"{freeze.name} freezes changes until {until.isoformat()}" + (f": {freeze.reason}" if freeze.reason else "")
    return Finding("freeze", Word.HELD, why, act.at("namespace"), act.namespace(about))


def _halt(act: Act, about: About, _policy: Policy, _now: datetime) -> Finding | None:
    if not about.standing.halts or not act.step.changes:
        return None
    namespace = act.namespace(about)
    found = next((one for one in about.standing.halts if one.covers(namespace)), None)
    if found is None:
        return None
    why = f"halted {'everywhere' if not found.namespace else 'there'} by {found.by}: {found.reason}"
    return Finding("halt", Word.HELD, why, act.at("namespace"), namespace)


STEP_RULES: Mapping[str, Rule] = {
    "catalogue": _catalogue,
    "parameters": _parameters,
    "target": _target,
    "protected": _protected,
    "lists": _lists,
    "risk": _risk,
    "scale": _scale,
    "freeze": _freeze,
    "halt": _halt,
}
