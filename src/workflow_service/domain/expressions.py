"""Expressions: CEL against a typed scope, compiled once, evaluated over plain values, with caps on everything.

CEL is the language of Kubernetes admission policies; what absent fields, errors and numbers mean is its specification's
(github.com/google/cel-spec), not ours. This is the only module that knows the library behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_strings

from workflow_service.domain.errors import InvalidExpression, Violation
from workflow_service.domain.expression_source import SourceRefused, pattern_cost, read
from workflow_service.domain.expression_values import SCALAR_BYTES, EvaluationFailed, Meter, plain

__all__ = ["Type", "Scope", "EvaluationFailed", "Inputs", "Program", "compile_expression"]

COMPILED_PROGRAMS = 512  # kept


class Type(StrEnum):
    """What a name of the scope holds, or what an expression gives. LIST and MAP are of anything."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    LIST = "list"
    MAP = "map"
    DYN = "dyn"


Scope = Mapping[str, Type]  # the names that may be used, dotted ones too: `alert.severity`, `steps.a.output`

_DECLARED = {
    Type.BOOL: cel.Type.BOOL,
    Type.INT: cel.Type.INT,
    Type.DOUBLE: cel.Type.DOUBLE,
    Type.STRING: cel.Type.STRING,
    Type.LIST: cel.Type.List(cel.Type.DYN),
    Type.MAP: cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    Type.DYN: cel.Type.DYN,
}
_HELD = {Type.BOOL: bool, Type.INT: int, Type.DOUBLE: float, Type.STRING: str, Type.LIST: list, Type.MAP: dict}
_GIVEN = {"UINT": Type.INT, "NULL": Type.DYN, **{type_.name: type_ for type_ in Type}}  # by the library's type names
_AT = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_PLAINER = (  # what the library says, and what it means
    (re.compile(r'No value with name "(.+)" found in Activation'), r"\1 has no value"),
    (re.compile(r"Key not found in map : (.+)"), r"there is no field \1"),
    (re.compile(r"No matching overloads found : <jump_condition>"), "the condition before ? is no bool"),
    (re.compile(r"No matching overloads found : (.+)"), r"\1 cannot take values of these types"),
    (re.compile(r" \(in container ''\)| expecting \{.*"), ""),
)


class Inputs:
    """Values that many expressions are asked about: what each set of names stands for is made ready once."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """`values`: as `Program.evaluate` takes them; they must not change any more."""
        self._values = values
        self._ready: dict[tuple[tuple[str, Type], ...], Any] = {}

    def ready(self, types: Mapping[str, Type]) -> Any:
        """What the library evaluates over, for the expressions that use these names.

        Raises:
            EvaluationFailed: one of them stands for a value of another type, or they are over the caps.
        """
        key = tuple(types.items())
        if key not in self._ready:
            self._ready[key] = self._made(key)
        found = self._ready[key]
        if isinstance(found, EvaluationFailed):
            raise EvaluationFailed(*found.args)
        return found

    def _made(self, types: tuple[tuple[str, Type], ...]) -> Any:
        meter, values = Meter(), self._values
        try:
            given = {
                name: _declared(name, type_, plain(values[name], name, meter))
                for name, type_ in types
                if name in values and (values[name] is not None or type_ is Type.DYN)
            }
        except EvaluationFailed as failed:
            return failed
        return _environment(types).Activation(data=given)


@dataclass(frozen=True, slots=True)
class Program:
    """An expression that was checked. `returns` is what it gives; `refs` are the names of the scope that it uses."""

    source: str
    returns: Type
    refs: frozenset[str]
    _types: Mapping[str, Type] = field(repr=False, compare=False)
    _compiled: Any = field(repr=False, compare=False)

    def evaluate(self, values: Mapping[str, Any] | Inputs) -> Any:
        """The value over `values`, keyed by the same dotted names: None, bool, int, float, str, list or dict.

        A name without a value, or with None where a type was declared, is an error to whatever uses it; `&&` and `||`
        absorb that when the other side decides.

        Raises:
            EvaluationFailed: an error, a value that is not of type `returns`, or inputs over the caps.
        """
        try:
            inputs = values if isinstance(values, Inputs) else Inputs(values)
            return _as(self.returns, self._run(inputs.ready(self._types)))
        except EvaluationFailed as failed:
            raise EvaluationFailed(f"{self.source}: {failed}") from None

    def _run(self, ready: Any) -> Any:
        try:
            answer = self._compiled.eval(activation=ready)
            return _result(answer, Meter())
        except EvaluationFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the library is native code and documents no errors
            raise EvaluationFailed(_plainer(str(error))) from None


def compile_expression(source: str, scope: Scope, *, expects: Type | None = None, at: str = "expression") -> Program:
    """Check an expression against the names it may use; `at` is the field that errors name.

    Raises:
        InvalidExpression: it is over a cap, is no CEL, uses unknown names or wrong types, or cannot give `expects`.
    """
    try:
        return _compile(source, tuple(sorted(scope.items())), expects)
    except SourceRefused as refused:
        raise InvalidExpression("the expression is not valid", [Violation(at, source, str(refused))]) from None


@lru_cache(maxsize=COMPILED_PROGRAMS)
def _compile(source: str, scope: tuple[tuple[str, Type], ...], expects: Type | None) -> Program:
    names = dict(scope)
    reading = read(source, names)
    for literal, most in reading.patterns:
        _check_pattern(literal, most)
    types = {name: names[name] for name in sorted(reading.refs)}
    compiled, static = _checked(_environment(tuple(types.items())), source)
    return Program(
        source=source,
        returns=_returns(static, expects),
        refs=reading.refs,
        _types=types,
        _compiled=compiled,
    )


@lru_cache(maxsize=64)
def _environment(types: tuple[tuple[str, Type], ...]) -> Any:
    declared = {name: _DECLARED[type_] for name, type_ in types}
    return cel.NewEnv(variables=declared, extensions=[ext_strings.ExtStrings(), ext_math.ExtMath()])


def _checked(env: Any, source: str) -> tuple[Any, str]:
    try:
        compiled = env.compile(source)
        return compiled, compiled.return_type().name()
    except Exception as error:  # noqa: BLE001 - the library is native code and documents no errors
        found = [f"at {line}:{column}: {_plainer(text)}" for line, column, text in _AT.findall(str(error))]
        raise SourceRefused("; ".join(found[:3]) or _plainer(str(error))) from None


def _check_pattern(literal: str, most: int) -> None:
    env = _environment(())
    pattern = _checked(env, literal)[0].eval().value()
    if isinstance(pattern, str) and (cost := pattern_cost(pattern)) > most:
        raise SourceRefused(f"the pattern {literal} has about {cost} states, more than {most}")
    answer = _checked(env, f"''.matches({literal})")[0].eval()
    if answer.type() == cel.Type.ERROR:
        raise SourceRefused(_plainer(answer.value()))


def _returns(static: str, expects: Type | None) -> Type:
    name = static.partition("<")[0]  # LIST<INT> and the like
    given = _GIVEN.get(name)
    if given is None:
        raise SourceRefused(f"gives a {name.lower()}, which is no JSON value: use string(...)")
    if expects is None or expects in (given, Type.DYN):
        return given
    if name != "DYN" and (given, expects) != (Type.INT, Type.DOUBLE):
        raise SourceRefused(f"must give a {expects}, gives a {name.lower()}")
    return expects


def _declared(name: str, type_: Type, value: Any) -> Any:
    try:
        return _as(type_, value)
    except EvaluationFailed as failed:
        raise EvaluationFailed(f"{name} {failed}") from None


def _as(type_: Type, value: Any) -> Any:
    if type_ is Type.DYN or type(value) is _HELD[type_]:
        return value
    if type_ is Type.DOUBLE and type(value) is int:  # JSON writes 1.0 as 1
        return float(value)
    raise EvaluationFailed(f"is {_shown(value)}, must be a {type_}")


def _shown(value: Any) -> str:
    return "null" if value is None else f"a {next(type_ for type_, held in _HELD.items() if type(value) is held)}"


def _result(answer: Any, meter: Meter) -> Any:
    """The library's value as plain data, counted while it is taken apart: lists may share their parts.

    The library gives maps in an order of its own, another in every process; here they are sorted.
    """
    kind, value = answer.type().name().partition("<")[0], answer.value()
    if kind == "ERROR":
        raise EvaluationFailed(_plainer(value))
    if kind not in _GIVEN or (kind == "DOUBLE" and not isfinite(value)):
        raise EvaluationFailed(f"gives {value}, a {kind.lower()}, which is no JSON value")
    if kind == "MAP":
        return dict(sorted((_key(key, meter), _result(item, meter)) for key, item in value.items()))
    if kind == "LIST":
        return [_result(item, meter) for item in value]
    meter.take(len(value.encode()) if kind == "STRING" else SCALAR_BYTES, "the result")
    return value


def _key(key: Any, meter: Meter) -> str:
    if not isinstance(key, str):
        raise EvaluationFailed(f"gives a map with the key {key}, which is no string")
    meter.take(len(key.encode()) + SCALAR_BYTES, "the result")
    return key


def _plainer(message: str) -> str:
    text = _STATUS.sub("", message.strip())
    for said, meant in _PLAINER:
        text = said.sub(meant, text)
    return text.partition("\n")[0]
