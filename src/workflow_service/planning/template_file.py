"""Reading a template: YAML to a template of one version, with every flaw named by line, column and field.

In this order: YAML (64 KB, no key twice), its schema, what it extends and takes from others, parameters and matching,
the steps as those of a rule are read, every expression in its scope, and the actions as far as a catalogue is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from workflow_service.domain.alert import shown
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.errors import Rejected, Violation
from workflow_service.domain.template import KIND, Lifecycle, Reference, digest_of
from workflow_service.planning import shaping, step_flaws, template_flaws, template_schema
from workflow_service.planning.inheriting import Find, composed, extended, own_place, parents
from workflow_service.planning.offered import unfit
from workflow_service.planning.rule_values import rule_of
from workflow_service.planning.step_format import Flaw
from workflow_service.planning.template_values import (
    as_rule,
    derive_of,
    match_of,
    target_of,
    timeout_of,
    when_of,
    written,
)
from workflow_service.planning.templates import Template, types_of
from workflow_service.planning.yaml_reading import Mark, NotYaml, Reading

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class LocatedFlaw:
    """One broken rule, and where in which file."""

    file: str
    line: int
    column: int
    field: str
    value: object
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {Violation(self.field, self.value, self.rule)}"


class InvalidTemplate(Rejected):
    """A template breaks the format."""

    def __init__(self, flaws: Iterable[LocatedFlaw]) -> None:
        self.flaws = tuple(sorted(set(flaws), key=lambda one: (one.file, one.line, one.column, one.field, one.rule)))
        violations = [
            Violation(f"{one.file}:{one.line}:{one.column}: {one.field}", one.value, one.rule) for one in self.flaws
        ]
        super().__init__("the template is not valid", violations)


@dataclass(frozen=True, slots=True)
class Source:
    """A file whose shape is a template's."""

    file: str
    body: str
    document: Mapping[str, Any]
    reading: Reading = field(compare=False)

    @property
    def reference(self) -> Reference:
        """Which version it says it is."""
        metadata = self.document["metadata"]
        return Reference(metadata["name"], metadata["version"])

    @property
    def parents(self) -> tuple[Reference, ...]:
        """The versions that must be known before it can be read."""
        return tuple(dict.fromkeys(parents(self.document)))

    def refuse(self, flaws: Iterable[Flaw]) -> InvalidTemplate:
        """The error for these flaws."""
        return InvalidTemplate(located(self.file, self.reading, flaw) for flaw in flaws)


def source(file: str, body: str) -> Source:
    """A file's document, whose shape is that of a template; nothing is quoted of what does not say that it is one.

    Raises:
        InvalidTemplate: with every flaw of its shape.
    """
    reading = Reading(most=MAX_BYTES)
    try:
        document = reading.document(body)
    except NotYaml as error:
        raise InvalidTemplate([not_yaml(file, error)]) from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise InvalidTemplate([located(file, reading, (("kind",), None, f"must be {KIND}"))])
    broken = [*reading.flaws] or [*template_schema.flaws(document)]
    if broken:
        raise InvalidTemplate(located(file, reading, flaw) for flaw in broken)
    return Source(file, body, document, reading)


def template(given: Source, find: Find, catalogue: Catalogue | None = None) -> Template:
    """The template that a file holds. `find` knows the documents of others, `catalogue` None: no action is checked.

    Raises:
        InvalidTemplate: with every flaw.
    """
    document, broken = extended(given.document, find)
    broken += template_flaws.flaws(document["spec"])
    if broken:
        raise given.refuse(broken)
    refuse = partial(_refuse, given, document["spec"])
    spec, broken, _ = composed(document["spec"], find)
    if broken:
        raise refuse(broken)
    raw = as_rule(str(given.reference), spec)
    types = types_of(spec.get("parameters", {}))
    broken = [*step_flaws.flaws(raw, ("spec",))]
    rule = rule_of(raw) if not broken else None
    if rule is not None:
        broken = [*shaping.unsound(rule, ("spec",), types), *(unfit(rule, ("spec",), catalogue) if catalogue else ())]
    if broken or rule is None:
        raise refuse(map(written, broken))
    said = spec["description"]
    return Template(
        reference=given.reference,
        digest=digest_of(given.document),
        lifecycle=Lifecycle(given.document["metadata"].get("lifecycle", Lifecycle.ACTIVE)),
        rule=replace(rule, when=when_of(spec.get("match"))),
        when_to_use=said["whenToUse"],
        when_not_to_use=said.get("whenNotToUse", ""),
        match=match_of(spec.get("match")),
        parameters=spec.get("parameters", {"type": "object"}),
        derive=derive_of(spec.get("derive", {})),
        target=target_of(spec.get("target")),
        timeout=timeout_of(spec),
        body=given.body,
        made_of=given.parents,
    )


def _refuse(given: Source, whole: Mapping[str, Any], broken: Iterable[Flaw]) -> InvalidTemplate:
    """The error for flaws of all its steps, `whole` being its spec with what it extends."""
    return given.refuse((own_place(at, whole, given.document["spec"]), value, rule) for at, value, rule in broken)


def not_yaml(file: str, error: NotYaml) -> LocatedFlaw:
    """The flaw that a file is no YAML; it quotes nothing, since nobody knows what the file is."""
    mark = error.mark or Mark(1, 1)
    return LocatedFlaw(file, mark.line, mark.column, "template", None, f"is not YAML: {error}")


def located(file: str, reading: Reading, flaw: Flaw) -> LocatedFlaw:
    """A flaw with the place in the file that a reader would look at."""
    at, value, rule = flaw
    mark = reading.spot(at) or Mark(1, 1)
    return LocatedFlaw(file, mark.line, mark.column, ".".join(map(str, at)) or "template", shown(value), rule)
