"""YAML as operators write it becomes plain values; where each stands in the file is remembered, for its flaws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import yaml

from workflow_service.planning.step_format import Flaw, Place

MAX_VALUES = 100_000
MAX_NESTING = 60  # lists and maps in each other
_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "int", "float"))


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, counted from 1."""

    line: int
    column: int


class NotYaml(Exception):
    """A text is no YAML, or absurd; `mark` is where, if that can be said."""

    def __init__(self, message: str, mark: Mark | None) -> None:
        super().__init__(message)
        self.mark = mark


class Reading:
    """The one document of a text, with the mark of each value and key; collects what YAML allows and we do not."""

    def __init__(self, *, most: int) -> None:
        """`most`: bytes that the text may have."""
        self._most = most
        self.flaws: list[Flaw] = []
        self._values: dict[Place, Mark] = {}
        self._keys: dict[Place, Mark] = {}
        self._open: set[int] = set()
        self._count = 0

    def document(self, text: str) -> Any:
        """The text's document.

        Raises:
            NotYaml: it is no YAML, or too long, too deep, or an alias of itself.
        """
        if len(text.encode("utf-8", "surrogatepass")) > self._most:
            raise NotYaml(f"must be at most {self._most} bytes", None)
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            return self._value(node, ()) if node else None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            found, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
            # The whole message would quote the lines around, whatever the file is.
            raise NotYaml(problem or str(error), _mark(found) if found else None) from error

    def mark(self, at: Place) -> Mark | None:
        """Where the value at that place begins, or the nearest one around it that is in the text."""
        return next((self._values[at[:n]] for n in range(len(at), -1, -1) if at[:n] in self._values), None)

    def spot(self, at: Place) -> Mark | None:
        """Where a reader would point to: the key at that place, or the value where it has none."""
        return self._keys.get(at) or self.mark(at)

    def _value(self, node: yaml.Node, at: Place) -> Any:
        self._values[at] = _mark(node.start_mark)
        self._count += 1
        if len(at) > MAX_NESTING:
            raise ValueError(f"lists and maps are nested more than {MAX_NESTING} deep")
        if id(node) in self._open or self._count > MAX_VALUES:  # a few aliases can write out to billions of values
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
                self.flaws.append((at, "a key", "must be a word"))
                continue
            here = (*at, key.value)
            self._keys[here] = _mark(key.start_mark)
            if key.value in values:
                self.flaws.append((here, key.value, "is given twice"))
            values[key.value] = self._value(value, here)
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
            self.flaws.append((at, text, "must be a finite number"))
        return value


def _mark(found: yaml.Mark) -> Mark:
    return Mark(found.line + 1, found.column + 1)
