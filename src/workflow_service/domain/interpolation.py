"""Expressions inside of values: `${{ expression }}` in the strings of lists and maps, as in GitHub's workflows.

Alone in its string an expression keeps its type; inside of text it is written out. A literal `${{` is `${{ '${{' }}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflow_service.domain.errors import InvalidExpression, Violation
from workflow_service.domain.expression_source import MAX_SOURCE, SourceRefused, tokens
from workflow_service.domain.expression_values import MAX_DEPTH, Meter, plain
from workflow_service.domain.expressions import EvaluationFailed, Scope, compile_expression
from workflow_service.domain.secret_references import FILE_ONLY, REFERENCE, holds_secret

_OPEN, _CLOSE = "${{", "}}"
_LITERAL = f"{_OPEN} '{_OPEN}' {_CLOSE}"  # what is written out as `${{`


def has_expressions(value: object) -> bool:
    """Whether there is any `${{` in the strings of the value."""
    left = [value]
    while left:
        found = left.pop()
        if isinstance(found, str):
            if _OPEN in found:
                return True
        elif isinstance(found, dict | Mapping):  # asking an abstract class takes long, so it is asked last
            left += [*found, *found.values()]
        elif isinstance(found, list | tuple):
            left += found
    return False


def outside(text: str) -> list[str]:
    """What of a text is outside of its expressions.

    Raises:
        SourceRefused: an expression is not closed.
    """
    return [part for part in _parts(text) if isinstance(part, str)]


def with_words(text: str, change: Callable[[str], str]) -> str:
    """The text with what is outside of its expressions changed; what `change` brings in never becomes one.

    Raises:
        SourceRefused: an expression of the text is not closed.
    """
    return "".join(
        change(part).replace(_OPEN, _LITERAL) if isinstance(part, str) else f"{_OPEN} {part.source} {_CLOSE}"
        for part in _parts(text)
    )


def check_interpolation(value: object, scope: Scope, *, at: str) -> tuple[list[Violation], frozenset[str]]:
    """Compile every expression in the value, running none: what is wrong, and which names of the scope are used."""
    violations: list[Violation] = []
    refs: set[str] = set()
    for found in _texts(value, at):
        wrong, used = _check(found, scope)
        violations += wrong
        refs |= used
    return violations, frozenset(refs)


def interpolate(value: Any, scope: Scope, values: Mapping[str, Any]) -> Any:
    """A copy of the value with every expression replaced by what it gives over `values`.

    In text null is written as nothing, a bool as true or false, a whole double without its zero, a list or a map as
    compact JSON with sorted keys. Nothing is replaced in keys.

    Raises:
        EvaluationFailed: an expression is not valid or fails, gives or chooses a secret reference, or the results are
            over the caps of expressions.
    """
    return _Filling(scope, values, Meter()).value(value)


def settle(value: Any, scope: Scope, values: Mapping[str, Any]) -> Any:
    """A copy with each expression replaced that names parameters and nothing that is not in `scope`.

    What it gives never becomes an expression.

    Raises:
        EvaluationFailed: one of them fails, or the results are over the caps of expressions.
    """
    return _Settling(scope, values, Meter()).value(value)


def literal(value: Any) -> Any:
    """The value written so that nothing in it is an expression."""
    if isinstance(value, str):
        return value.replace(_OPEN, _LITERAL)
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    return [literal(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True)
class _Hole:
    source: str


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any


@dataclass(frozen=True, slots=True)
class _Text:
    at: str
    text: str
    rule: str = ""  # that it breaks


@dataclass(frozen=True, slots=True)
class _Filling:
    scope: Scope
    given: Mapping[str, Any]
    meter: Meter

    def value(self, value: Any, depth: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise EvaluationFailed(f"lists and maps are nested deeper than {MAX_DEPTH}")
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            if REFERENCE in value and has_expressions(value):
                raise EvaluationFailed(f"{REFERENCE}: must be written out: no expression chooses a secret")
            return {key: self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        return value

    def _text(self, text: str) -> Any:
        try:
            parts = list(_parts(text))
        except SourceRefused as refused:
            raise EvaluationFailed(f"{text[:100]}: {refused}") from None
        if len(parts) == 1 and isinstance(parts[0], _Hole):
            return self._hole(parts[0])
        return "".join(part if isinstance(part, str) else _written(self._hole(part)) for part in parts)

    def _hole(self, hole: _Hole) -> Any:
        try:
            program = compile_expression(hole.source, self.scope)
        except InvalidExpression as invalid:
            raise EvaluationFailed(str(invalid)) from None
        found = plain(program.evaluate(self.given), hole.source, self.meter)
        if holds_secret(found):
            raise EvaluationFailed(f"{hole.source[:100]}: {FILE_ONLY}")
        return found


class _Settling(_Filling):
    """Fills only what is known already; the rest stays as it is written."""

    def _text(self, text: str) -> Any:
        parts = [self._settled(part) for part in _parts(text)]
        if len(parts) == 1 and isinstance(parts[0], _Value):
            return parts[0].value
        return "".join(_rewritten(part) for part in parts)

    def _known(self, hole: _Hole) -> bool:
        try:
            refs = compile_expression(hole.source, self.scope).refs
        except InvalidExpression:
            return False
        return any(name.startswith("params.") for name in refs)

    def _settled(self, part: str | _Hole) -> str | _Hole | _Value:
        return part if isinstance(part, str) or not self._known(part) else _Value(literal(self._hole(part)))


def _rewritten(part: str | _Hole | _Value) -> str:
    if isinstance(part, _Hole):
        return f"{_OPEN} {part.source} {_CLOSE}"
    return part if isinstance(part, str) else _written(part.value)


def _check(found: _Text, scope: Scope) -> tuple[list[Violation], set[str]]:
    if found.rule:
        return [Violation(found.at, found.text, found.rule)], set()
    try:
        holes = [part for part in _parts(found.text) if isinstance(part, _Hole)]
    except SourceRefused as refused:
        return [Violation(found.at, found.text, str(refused))], set()
    violations: list[Violation] = []
    refs: set[str] = set()
    for hole in holes:
        try:
            refs |= compile_expression(hole.source, scope, at=found.at).refs
        except InvalidExpression as invalid:
            violations += invalid.violations
    return violations, refs


def _parts(text: str) -> Iterator[str | _Hole]:
    at = 0
    while (start := text.find(_OPEN, at)) >= 0:
        if start > at:
            yield text[at:start]
        inside = start + len(_OPEN)
        end = inside + _end(text[inside : inside + MAX_SOURCE + len(_CLOSE)])
        yield _Hole(text[inside:end].strip())
        at = end + len(_CLOSE)
    if text[at:]:
        yield text[at:]


def _end(text: str) -> int:
    """Where the expression that `text` begins with ends: at the first `}}` that closes nothing inside of it."""
    opened = 0
    for token in tokens(text):
        if token.text == "{":
            opened += 1
        elif token.text == "}" and opened:
            opened -= 1
        elif token.text == "}" and text.startswith(_CLOSE, token.start):
            return token.start
    raise SourceRefused(f"`{_OPEN}` is not closed by `{_CLOSE}` within {MAX_SOURCE} characters")


def _texts(value: object, at: str) -> Iterator[_Text]:
    """Every string in the value with its place, in order; and what breaks a rule."""
    left: list[tuple[str, object, int]] = [(at, value, 0)]
    while left:
        place, found, depth = left.pop()
        if depth == MAX_DEPTH + 1:
            yield _Text(place, "", f"must not be nested deeper than {MAX_DEPTH}")
        if isinstance(found, str):
            yield _Text(place, found)
        elif isinstance(found, Mapping):
            for key in found:
                if _OPEN in str(key):
                    yield _Text(place, str(key), "must not have an expression in a key")
            left.extend((f"{place}.{key}", item, depth + 1) for key, item in reversed(list(found.items())))
        elif isinstance(found, list | tuple):
            left.extend((f"{place}.{index}", found[index], depth + 1) for index in reversed(range(len(found))))


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
