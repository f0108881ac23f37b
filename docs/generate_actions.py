"""Writes docs/actions.md, the page about every action of executor-service, from the actions' own declarations."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from executor_service.actions.catalogue import Catalogue, schema_of
from executor_service.actions.requirements import GUARDING, LOOKING, Rule
from executor_service.actions.spec import NAME_PATTERN, OBJECT_NAME_PATTERN, ActionSpec

PAGE = Path(__file__).with_name("actions.md")
_PROOF = {name: Path(__file__).parent / "proof" / f"{name}.json" for name in ("sandbox", "kubernetes")}
_HEAD = """\
# What executor-service can do

<!-- written by docs/generate_actions.py from the declarations of the actions; do not edit -->

An action is ordered by `POST /api/v1/execute`; its name or alias is `action.type`. `GET /api/v1/actions` lists what is
offered in this cluster with these settings, and under `unavailable` why the others are not. Whatever an action does,
each of its writes is recorded before it is sent and conditional on what was read; a dry run (`context.dry_run`) has the
API server validate the writes, lists the fields that would change, and changes nothing. Objects with the annotation
`kubernaut.io/protected: "true"` are never changed, those of `PROTECTED_NAMESPACES` only if `NETWORK_COMPONENTS` names
them. Where Argo CD, Flux, Helm or kubectl keep an object in shape, `result.managed_by` says so.

`make test-cluster` runs the cases of every action (effect, dry run, undo, drift, rights, rivals) on the sandbox and on
a real Kubernetes API server: the last two columns of the table are from its last run, and
[proof-on-kubernetes.md](proof-on-kubernetes.md) has each case.

Rights are those of the action and its undo; `executor-service rbac` prints them as one ClusterRole per family
(`kubernaut-executor-<family>`) and one for looking around. Looking around and [guarding](executor-safety.md) need,
whatever is offered (`tokenreviews` with `EXECUTOR_AUTH=tokenreview` only):
"""


def render() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_rights((*LOOKING, *GUARDING)), "", *_overview(), *_families()]) + "\n"


def _overview() -> Iterator[str]:
    proofs = [json.loads(path.read_text("utf-8")) for path in _PROOF.values()]
    places = [f"{name} {proof['server']}" for name, proof in zip(("sandbox", "Kubernetes"), proofs, strict=True)]
    yield f"| action | family | risk | undo | offered when | {' | '.join(places)} |"
    yield "|---|---|---|---|---|---|---|"
    for spec in Catalogue().specs:
        undo = "yes" if spec.reversible else "no"
        needs = "; ".join(item.text for item in spec.requires) or "always"
        told = " | ".join(_proven(proof["actions"].get(spec.name)) for proof in proofs)
        yield f"| [{spec.name}](#{spec.name}) | {spec.family} | {spec.risk} | {undo} | {needs} | {told} |"
    yield ""


def _proven(numbers: dict[str, int] | None) -> str:
    """How the cases of an action ended in the last run."""
    if not numbers or not numbers["passed"]:
        return "**no case**"
    cases = f"{numbers['cases']} case{'s' if numbers['cases'] > 1 else ''}"
    if numbers["not_passed"]:
        return f"**{numbers['not_passed']} tests of {cases} did not pass**"
    return f"pass: {cases}, {numbers['passed']} tests"


def _families() -> Iterator[str]:
    specs = sorted(Catalogue().specs, key=lambda spec: (spec.family, spec.name))
    for family, members in groupby(specs, key=lambda spec: spec.family):
        yield f"## {family}"
        yield ""
        for spec in members:
            yield from _action(spec)


def _action(spec: ActionSpec) -> Iterator[str]:
    yield f"### {spec.name}"
    yield ""
    yield spec.description
    yield ""
    if spec.target_kinds:
        yield f"- changes or looks at: {', '.join(spec.target_kinds)}"
    yield f"- risk {spec.risk}; at most {spec.timeout_seconds} s; done when {spec.done_when}"
    undo = spec.undone_by if spec.reversible else f"not possible: {spec.irreversible_reason}"
    yield f"- undo: {undo}"
    for alias, implied in spec.aliases.items():
        said = ", ".join(f"{name}: {value}" for name, value in implied.items())
        yield f"- also called `{alias}`{f' (means {said})' if said else ''}"
    yield ""
    yield from _parameters(spec)
    if spec.needs:
        yield "Rights:"
        yield ""
        yield from _rights(spec.needs)
        yield ""
    for name, rules in spec.needs_with.items():
        yield f"Rights besides, with `{name}`:"
        yield ""
        yield from _rights(rules)
        yield ""


def _parameters(spec: ActionSpec) -> Iterator[str]:
    schema = schema_of(spec.parameters)
    required = set(schema.get("required", []))
    others = {own: other for other, own in spec.parameter_aliases.items() if own in schema["properties"]}
    yield "| parameter | must be | default | meaning |"
    yield "|---|---|---|---|"
    for name, rule in schema["properties"].items():
        default = "required" if name in required else f"`{rule['default']}`" if "default" in rule else ""
        also = f" (also `{others[name]}`)" if name in others else ""
        yield f"| `{name}`{also} | {_wants(rule)} | {default} | {rule.get('description', '')} |"
    yield ""


def _wants(rule: dict[str, Any]) -> str:
    if "enum" in rule:
        return " or ".join(f"`{value}`" for value in rule["enum"])
    bounds = [f"{word} {rule[name]}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in rule]
    return " ".join([str(rule.get("type", "any")), *bounds, *_pattern(str(rule.get("pattern", "")))])


def _pattern(pattern: str) -> list[str]:
    """In words where it is well known or would look like a link in Markdown."""
    if pattern in {NAME_PATTERN, OBJECT_NAME_PATTERN}:
        return ["(a Kubernetes name)"]
    if "](" in pattern:
        return ["(pattern: see the schema)"]
    return [f"`{pattern}`".replace("|", "\\|")] if pattern else []


def _rights(rules: tuple[Rule, ...]) -> list[str]:
    verbs: dict[str, list[str]] = {}
    for rule in rules:
        place = f"{rule.resource}{f' ({rule.group})' if rule.group else ''}"
        known = verbs.setdefault(place, [])
        known += [verb for verb in rule.verbs if verb not in known]
    return [f"- {place}: {', '.join(allowed)}" for place, allowed in sorted(verbs.items())]
