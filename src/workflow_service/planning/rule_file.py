"""Reading the rule file: YAML to rules, with every flaw of the file named by its line."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from workflow_service.domain.alert import shown
from workflow_service.domain.errors import InvalidRules, Violation
from workflow_service.planning import rule_format, shaping
from workflow_service.planning.recovery_rules import failures_of
from workflow_service.planning.rule_values import action_of, rule_of
from workflow_service.planning.rules import Rules
from workflow_service.planning.step_format import Flaw
from workflow_service.planning.yaml_reading import NotYaml, Reading

MAX_BYTES = 1024 * 1024


def read_rules(path: Path | None = None) -> Rules:
    """The rules in the file at `path`, or the ones that come with the service.

    Raises:
        InvalidRules: the file cannot be read, or breaks the format; every flaw is named.
    """
    if path is None:
        return load_rules(resources.files("workflow_service.planning").joinpath("rules.yaml").read_text("utf-8"))
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise _invalid([Violation("rule file", str(path), f"cannot be read: {error}")]) from error
    return load_rules(text)


def load_rules(text: str) -> Rules:
    """The rules that a rule file's text holds.

    Raises:
        InvalidRules: with every flaw; the field names carry the line, such as `rules.0.actions.1.type (line 12)`.
    """
    reading = Reading(most=MAX_BYTES)
    try:
        document = reading.document(text)
    except NotYaml as error:
        where = f"rule file (line {error.mark.line})" if error.mark else "rule file"
        raise _invalid([Violation(where, shown(text[:40]), f"is not YAML: {error}")]) from error
    broken = reading.flaws or list(rule_format.flaws(document))
    rules = () if broken else tuple(rule_of(raw) for raw in document["rules"])
    for index, rule in enumerate(rules):
        broken += shaping.unsound(rule, ("rules", index))
    if broken:
        raise _invalid([_violation(reading, flaw) for flaw in broken])
    version = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    failures = failures_of(document.get("failures", {}), action_of)
    return Rules(rules, f"rules-{version}", failures)


def _invalid(violations: list[Violation]) -> InvalidRules:
    return InvalidRules("the rule file is not valid", violations)


def _violation(reading: Reading, flaw: Flaw) -> Violation:
    at, value, rule = flaw
    mark = reading.mark(at)
    line = f" (line {mark.line})" if mark else ""
    return Violation((".".join(map(str, at)) or "rule file") + line, shown(value), rule)
