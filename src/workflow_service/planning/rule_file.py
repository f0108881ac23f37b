"""Reading the rule file: YAML to rules, with every flaw of the file named by its line."""

from __future__ import annotations

import hashlib
import math
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from workflow_service.domain.alert import shown
from workflow_service.domain.errors import InvalidRules, Violation
from workflow_service.planning import rule_format, shaping
from workflow_service.planning.recovery_rules import failures_of
from workflow_service.planning.rule_values import action_of, rule_of
from workflow_service.planning.rules import Rules
from workflow_service.planning.step_format import Place

MAX_CHARACTERS = 1024 * 1024
MAX_VALUES = 100_000
MAX_NESTING = 60  # lists and maps in each other
_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "int", "float"))


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
    reading = Reading()
    try:
        document = reading.document(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _invalid([Violation(_where_broken(error), shown(text[:40]), f"is not YAML: {error}")]) from error
    for at, value, broken in () if reading.violations else rule_format.flaws(document):
        reading.refuse(at, value, broken)
    if reading.violations:
        raise _invalid(reading.violations)
    rules = tuple(rule_of(raw) for raw in document["rules"])
    for index, rule in enumerate(rules):
        for at, value, broken in shaping.unsound(rule, ("rules", index)):
            reading.refuse(at, value, broken)
    if reading.violations:
        raise _invalid(reading.violations)
    version = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    failures = failures_of(document.get("failures", {}), action_of)
    return Rules(rules, f"rules-{version}", failures)


def _invalid(violations: list[Violation]) -> InvalidRules:
    return InvalidRules("the rule file is not valid", violations)


def _where_broken(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"rule file (line {mark.line + 1})" if mark else "rule file"


class Reading:
    """Plain values out of YAML nodes, remembering the line of each; collects what YAML allows and we do not."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self.violations: list[Violation] = []
        self._open: set[int] = set()
        self._values = 0

    def document(self, text: str) -> Any:
        """The file's one document.

        Raises:
            yaml.YAMLError, ValueError, RecursionError: it is no YAML, or absurd.
        """
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"must be at most {MAX_CHARACTERS} characters")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return self._value(node, ()) if node else None

    def refuse(self, at: Place, value: object, rule: str) -> None:
        """Note a flaw at that place."""
        known = next((at[:length] for length in range(len(at), -1, -1) if at[:length] in self.lines), None)
        line = f" (line {self.lines[known]})" if known is not None else ""
        self.violations.append(Violation((".".join(map(str, at)) or "rule file") + line, shown(value), rule))

    def _value(self, node: yaml.Node, at: Place) -> Any:
        self.lines[at] = node.start_mark.line + 1
        self._values += 1
        if len(at) > MAX_NESTING:
            raise ValueError(f"lists and maps are nested more than {MAX_NESTING} deep")
        if id(node) in self._open or self._values > MAX_VALUES:  # a few aliases can write out to billions of values
            raise ValueError(f"an alias contains itself, or there are more than {MAX_VALUES} values")
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value: Any = self._mapping(node, at)
        elif isinstance(node, yaml.SequenceNode):
            value = [self._value(item, (*at, index)) for index, item in enumerate(node.value)]
        else:
            value = self._scalar(node, at)
        self._open.remove(id(node))
        return value

    def _mapping(self, node: yaml.MappingNode, at: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.refuse(at, "a key", "must be a word")
                continue
            if key.value in values:
                self.refuse((*at, key.value), key.value, "is given twice")
            values[key.value] = self._value(value, (*at, key.value))
        return values

    def _scalar(self, node: yaml.Node, at: Place) -> object:
        """YAML 1.2's reading: only true and false are booleans, so that `on` stays a word; dates stay text."""
        text = str(node.value)
        if node.tag.endswith(":bool") and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if node.tag not in _PLAIN:
            return text
        value: object = yaml.constructor.SafeConstructor().construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            self.refuse(at, text, "must be a finite number")
        return value
