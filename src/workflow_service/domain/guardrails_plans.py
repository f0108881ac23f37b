"""The rules that are asked about a plan as a whole, before it is kept. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from workflow_service.domain.guardrails_about import About, Act, Finding
from workflow_service.domain.interpolation import has_expressions
from workflow_service.domain.policy import Level, Policy, Word

Rule = Callable[[Sequence[Act], int, About, Policy], Finding | None]  # of its acts and how many steps it has

AUTONOMY = "autonomy"  # the rule that says how far a plan may go at all
OBSERVED, SUGGESTED = "observe_only", "suggested"
ENDS_AS: Mapping[Level, str] = {Level.OBSERVE: OBSERVED, Level.SUGGEST: SUGGESTED}  # why it ends without being executed


def _objects(acts: Sequence[Act], _steps: int, _about: About, policy: Policy) -> Finding | None:
    found = {act.target.identity for act in acts if act.step.changes and act.target is not None}
    if policy.blast.objects is None or len(found) <= policy.blast.objects:
        return None
    why = f"objects would be changed; {policy.blast.objects} is the most (blast.objects)"
    return Finding("objects", Word.DENIED, why, "steps", len(found))


def _nodes(acts: Sequence[Act], _steps: int, _about: About, policy: Policy) -> Finding | None:
    nodes = {act.target.name for act in acts if act.step.changes and act.target and act.target.kind == "Node"}
    if policy.blast.nodes is None or len(nodes) <= policy.blast.nodes:
        return None
    why = f"nodes would be changed; {policy.blast.nodes} is the most (blast.nodes)"
    return Finding("nodes", Word.DENIED, why, "steps", len(nodes))


def _replicas(acts: Sequence[Act], _steps: int, about: About, policy: Policy) -> Finding | None:
    """Pods of one owner that the plan takes away."""
    share = policy.blast.share_of_replicas
    pods = {act.target.identity for act in acts if act.step.changes and act.target and act.target.kind == "Pod"}
    for owner, gone in Counter(about.owners.get(pod, pod) for pod in pods).items():
        there = about.replicas.get(owner)
        if share is not None and there is not None and gone > max(there * share, 1):
            why = f"pods of {there} would go; {share:.0%} is the most (blast.share_of_replicas)"
            return Finding("replicas", Word.DENIED, why, owner, gone)
    return None


def _size(_acts: Sequence[Act], steps: int, _about: About, policy: Policy) -> Finding | None:
    if policy.plan_size is None or steps <= policy.plan_size:
        return None
    why = f"steps are more than {policy.plan_size} (plan_size)"
    return Finding("size", Word.NEEDS_APPROVAL, why, "steps", steps)


def _confidence(_acts: Sequence[Act], _steps: int, about: About, policy: Policy) -> Finding | None:
    if not about.by_advisor:
        return None
    if about.confidence is None:
        return Finding("confidence", Word.NEEDS_APPROVAL, "the advisor does not say how sure it is", "confidence")
    if about.unsure:
        why = "is below AI_CONFIDENCE_THRESHOLD, and the whole plan is the advisor's"
        return Finding("confidence", Word.NEEDS_APPROVAL, why, "confidence", about.confidence)
    if about.confidence >= policy.confidence:
        return None
    why = f"is below {policy.confidence:g} (confidence)"
    return Finding("confidence", Word.NEEDS_APPROVAL, why, "confidence", about.confidence)


def _autonomy(acts: Sequence[Act], _steps: int, about: About, policy: Policy) -> Finding | None:
    if not policy.autonomy:
        return None
    levels = (policy.level(about.plan, environment) for environment in _environments(acts, about, policy))
    level = min(levels, key=tuple(Level).index)
    if level is Level.AUTONOMOUS:
        return None
    word = Word.NEEDS_APPROVAL if level is Level.APPROVE else Word.DENIED
    return Finding(AUTONOMY, word, f"{about.plan} may {level} only", "autonomy", level)


def _environments(acts: Sequence[Act], about: About, policy: Policy) -> Iterator[str]:
    """Where it acts, and where the alert is from."""
    yield policy.environment(cluster=about.cluster, namespace=about.namespace)
    for act in acts:
        if act.step.changes:
            yield act.place(about, policy).environment


def _oscillation(acts: Sequence[Act], _steps: int, about: About, policy: Policy) -> Finding | None:
    most = policy.oscillation.times
    if most is None:
        return None
    for act in acts:
        if not act.step.changes or act.target is None or has_expressions(act.parameters):
            continue
        identity = about.owners.get(act.target.identity, act.target.identity)
        tried = about.past.unhelpful.get((act.type, identity), 0)
        if tried >= most:
            hours = policy.oscillation.window.total_seconds() / 3600
            why = f"{act.type} has not helped {identity} {tried} times within {hours:g} h (oscillation)"
            return Finding("oscillation", Word.NEEDS_APPROVAL, why, act.at("type"), tried)
    return None


def _breaker(acts: Sequence[Act], _steps: int, about: About, policy: Policy) -> Finding | None:
    if not about.standing.latches:
        return None
    places = {*_environments(acts, about, policy)}
    found = next((one for one in about.standing.latches if one.environment in places), None)
    if found is None:
        return None
    why = f"has tripped ({found.why}) and waits for somebody to reset it"
    return Finding("breaker", Word.NEEDS_APPROVAL, why, "environment", found.environment)


PLAN_RULES: Mapping[str, Rule] = {
    "objects": _objects,
    "nodes": _nodes,
    "replicas": _replicas,
    "size": _size,
    "confidence": _confidence,
    AUTONOMY: _autonomy,
    "oscillation": _oscillation,
    "breaker": _breaker,
}
