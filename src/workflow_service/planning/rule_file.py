"""Reading the rule file: YAML to rules, with every flaw of the file named by its line."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from workflow_service.domain.alert import shown
from workflow_service.domain.errors import InvalidRules, Violation
from workflow_service.domain.plan import OnFailure
from workflow_service.planning import rule_format
from workflow_service.planning.recovery_rules import failures_of, options_of
from workflow_service.planning.rules import Rule, RuleAction, Rules, When

MAX_CHARACTERS = 1024 * 1024
MAX_VALUES = 100_000
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
    reading = _Reading()
    try:
        document = reading.document(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _invalid([Violation(_where_broken(error), shown(text[:40]), f"is not YAML: {error}")]) from error
    for at, value, rule in () if reading.violations else rule_format.flaws(document):
        reading.refuse(at, value, rule)
    if reading.violations:
        raise _invalid(reading.violations)
    version = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    failures = failures_of(document.get("failures", {}), _action)
    return Rules(tuple(_rule(raw) for raw in document["rules"]), f"rules-{version}", failures)


def _invalid(violations: list[Violation]) -> InvalidRules:
    return InvalidRules("the rule file is not valid", violations)


def _where_broken(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"rule file (line {mark.line + 1})" if mark else "rule file"


class _Reading:
    """Plain values out of YAML nodes, remembering the line of each; collects what YAML allows and we do not."""

    def __init__(self) -> None:
        self.lines: dict[rule_format.Path, int] = {}
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

    def refuse(self, at: rule_format.Path, value: object, rule: str) -> None:
        """Note a flaw at that place."""
        known = next((at[:length] for length in range(len(at), -1, -1) if at[:length] in self.lines), None)
        line = f" (line {self.lines[known]})" if known is not None else ""
        self.violations.append(Violation((".".join(map(str, at)) or "rule file") + line, shown(value), rule))

    def _value(self, node: yaml.Node, at: rule_format.Path) -> Any:
        self.lines[at] = node.start_mark.line + 1
        self._values += 1
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

    def _mapping(self, node: yaml.MappingNode, at: rule_format.Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.refuse(at, "a key", "must be a word")
                continue
            if key.value in values:
                self.refuse((*at, key.value), key.value, "is given twice")
            values[key.value] = self._value(value, (*at, key.value))
        return values

    def _scalar(self, node: yaml.Node, at: rule_format.Path) -> object:
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


def _rule(raw: Mapping[str, Any]) -> Rule:
    when = When(**{name: tuple(map(str, entries)) for name, entries in raw.get("when", {}).items()})
    return Rule(
        name=raw["name"],
        reason=raw["reason"].strip(),
        actions=tuple(_action(action) for action in raw["actions"]),
        when=when,
        recovery=options_of(raw.get("recovery"), _action),
    )


def _action(raw: Mapping[str, Any]) -> RuleAction:
    answer = raw.get("on_failure")
    changed = {"needs": tuple(raw.get("needs", ())), "on_failure": OnFailure(answer) if answer else None}
    return RuleAction(**{**raw, **changed})
