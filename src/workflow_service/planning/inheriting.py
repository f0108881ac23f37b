"""What a template says over another one that it extends, and steps that it takes from others as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from workflow_service.domain.step_rules import MAX_DEPTH, MAX_STEPS
from workflow_service.domain.template import Reference, reference
from workflow_service.planning.step_format import Flaw, Place
from workflow_service.planning.template_values import LISTS, with_needs

Find = Callable[[Reference], Mapping[str, Any] | None]  # the document of that version, which is sound
_BY_KEY = ("description", "derive")


def extended(document: Mapping[str, Any], find: Find) -> tuple[dict[str, Any], list[Flaw]]:
    """The document with all that it extends; what is wrong with that.

    Of maps the keys of the child win; steps of the same id are one, key by key; other steps come after those there are.
    """
    chain, broken = _chain(document, find)
    spec: Mapping[str, Any] = {}
    for one in reversed(chain):
        spec = _over(spec, one["spec"])
    whole = {**document, "spec": {key: value for key, value in spec.items() if key != "extends"}}
    return whole, broken


def own_place(at: Place, whole: Mapping[str, Any], own: Mapping[str, Any]) -> Place:
    """Where a place in the `whole` spec is in what the template says itself; steps that are not its own: `extends`."""
    match at:
        case ("spec", str(name), int(index), *inside) if "extends" in own and name in LISTS:
            ids = [step["id"] for step in own.get(name, ())]
            wanted = whole[name][index]["id"]
            return ("spec", name, ids.index(wanted), *inside) if wanted in ids else ("spec", "extends")
    return at


def composed(spec: Mapping[str, Any], find: Find) -> tuple[dict[str, Any], list[Flaw], list[Reference]]:
    """The spec with the steps of the templates that its own steps name; what is wrong with that; which they are."""
    broken: list[Flaw] = []
    used: list[Reference] = []
    whole = dict(spec)
    for name in LISTS:
        if name in spec:
            whole[name] = [_opened(step, ("spec", name, n), find, broken, used) for n, step in enumerate(spec[name])]
    return whole, broken, used


def parents(document: Mapping[str, Any]) -> Iterator[Reference]:
    """The versions that a document names, at any depth of its steps."""
    spec = document["spec"]
    if "extends" in spec:
        yield reference(spec["extends"])
    for name in LISTS:
        yield from _named(spec.get(name, ()))


def _named(steps: Sequence[Mapping[str, Any]]) -> Iterator[Reference]:
    for step in steps:
        if "template" in step:
            yield reference(step["template"])
        yield from _named(step.get("steps", ()))


def _chain(document: Mapping[str, Any], find: Find) -> tuple[list[Mapping[str, Any]], list[Flaw]]:
    chain = [document]
    while "extends" in chain[-1]["spec"]:
        said = chain[-1]["spec"]["extends"]
        found = find(reference(said))
        at: Place = ("spec", "extends")
        if found is None:
            return chain, [(at, said, "is not known here, or is not sound itself")]
        if len(chain) >= MAX_DEPTH or found in chain:
            return chain, [(at, said, f"leads through more than {MAX_DEPTH} templates, or in a circle")]
        chain.append(found)
    return chain, []


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**below, **above}
    for key in _BY_KEY:
        if key in below and key in above:
            merged[key] = {**below[key], **above[key]}
    if "parameters" in below and "parameters" in above:
        merged["parameters"] = _schema_over(below["parameters"], above["parameters"])
    for key in LISTS:
        if key in below:
            merged[key] = _steps_over(with_needs(below[key]), above.get(key, ()))
    return merged


def _schema_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    properties = {**below.get("properties", {}), **above.get("properties", {})}
    required = above.get("required", below.get("required", []))
    return {**below, **above, "properties": properties, "required": required}


def _steps_over(below: Sequence[Mapping[str, Any]], above: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    said = {step["id"]: step for step in above}
    known = {step["id"] for step in below}
    kept = [{**step, **said.get(step["id"], {})} for step in below]
    return [*kept, *(step for step in above if step["id"] not in known)]


def _opened(
    step: Mapping[str, Any], at: Place, find: Find, broken: list[Flaw], used: list[Reference]
) -> Mapping[str, Any]:
    """A step that names a template with that one's steps inside; any other with its own opened."""
    if "template" not in step:
        inner = [_opened(one, (*at, "steps", n), find, broken, used) for n, one in enumerate(step.get("steps", ()))]
        return {**step, "steps": inner} if inner else step
    named = reference(step["template"])
    found = find(named)
    whole = {key: value for key, value in step.items() if key != "template"} | {"kind": "template"}
    if len(at) > 2 * MAX_DEPTH + 1 or len(used) >= MAX_STEPS:
        rule = f"is nested deeper than {MAX_DEPTH}, in a circle, or one of more than {MAX_STEPS}"
        broken.append(((*at, "template"), str(named), rule))
        return {**whole, "kind": "wait", "wait": 1}
    if found is None or "steps" in step or step.get("kind", "template") != "template":
        broken.append(((*at, "template"), str(named), _why_not(found, step)))
        return {**whole, "kind": "wait", "wait": 1}
    used.append(named)
    within, flaws = extended(found, find)
    spec = within["spec"]
    given, wrong = _given(spec.get("parameters", {}), step.get("with", {}), (*at, "with"))
    broken += [*flaws, *wrong]
    if "finally" in spec:
        broken.append(((*at, "template"), str(named), "has `finally`, which only what runs by itself can have"))
    steps = _with_verify(spec)
    inner = [_opened(one, (*at, "steps", n), find, broken, used) for n, one in enumerate(steps)]
    return {**whole, "with": given, "steps": inner}


def _why_not(found: Mapping[str, Any] | None, step: Mapping[str, Any]) -> str:
    if found is None:
        return "is not known here, or is not sound itself"
    return "must not be given together with `steps`" if "steps" in step else "belongs to a step of kind template"


def _with_verify(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of a template inside another: what verifies it comes after all the others."""
    steps = with_needs(spec["steps"])
    stand_ins = {step.get("alternative") for step in steps}
    main = [step["id"] for step in steps if step["id"] not in stand_ins]
    verify = with_needs(spec.get("verify", ()))
    return [*steps, *({**step, "needs": step["needs"] or main} for step in verify)]


def _given(schema: Mapping[str, Any], said: Mapping[str, Any], at: Place) -> tuple[dict[str, Any], list[Flaw]]:
    """The parameters that a step gives to a template, with the defaults of those that it does not."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    broken: list[Flaw] = [
        ((*at, name), value, f"is no parameter of it; there are {' '.join(sorted(properties)) or 'none'}")
        for name, value in said.items()
        if name not in properties
    ]
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    broken += [(at, name, "is needed by it") for name in properties if name not in {**defaults, **said}]
    return {**defaults, **said}, broken
