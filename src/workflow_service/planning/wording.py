"""What a rule says, filled with what is known about its alert: parameters, sentences and queries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workflow_service.domain.alert import alert_to_json
from workflow_service.domain.expressions import EvaluationFailed, Type
from workflow_service.domain.interpolation import has_expressions, literal, settle, with_words
from workflow_service.domain.scope import ALERT, alert_values
from workflow_service.domain.secret_references import FILE_ONLY, holds_secret
from workflow_service.planning.situation import PLACEHOLDER, DoesNotFit, Situation

_SAFE_IN_QUERY = re.compile(r"[-\w.:/]*")  # nothing that could end a string of PromQL


class _Unknown(Exception):
    """A placeholder that may be unknown is; what it stands in is left out."""


def parameters(given: Mapping[str, Any], here: Situation, on: str | None) -> dict[str, Any]:
    """The parameters of a step about that object. What an alert says never becomes an expression.

    Raises:
        DoesNotFit: something that they need is not known.
    """
    filled = {name: _value(value, here, on) for name, value in given.items()}
    known = {name: value for name, value in filled.items() if value is not None}
    settled: dict[str, Any] = _settled(known, here, here.given)
    return settled


def sentence(text: str, here: Situation, on: str | None) -> str | None:
    """`text` with its placeholders filled; None when one marked `?` is not known.

    Raises:
        DoesNotFit: another one is not known.
    """
    try:
        said = _filled(text, here.words(on))
    except _Unknown:
        return None
    return said if here.given is None else str(_settled(said, here, here.given))


def query(text: str, here: Situation, on: str | None) -> str:
    """A query of Prometheus with its placeholders filled.

    Raises:
        DoesNotFit: one is not known, or holds what could change the query's meaning.
    """
    words = here.words(on)
    for name, _ in PLACEHOLDER.findall(text):
        word = words.get(name)
        if word is None or not _SAFE_IN_QUERY.fullmatch(word):
            raise DoesNotFit(f"needs {{{name}}} for a query, which is {word!r:.80}")
    if here.given is None:
        return _filled(text, words)
    safe = {name: one for name, one in here.given.items() if not isinstance(one, str) or _SAFE_IN_QUERY.fullmatch(one)}
    asked = str(_settled(_filled(text, words), here, safe))
    if has_expressions(asked):
        raise DoesNotFit(f"holds expressions that are open, or values that could change the query: {asked!r:.200}")
    return asked


def _settled(value: Any, here: Situation, given: Mapping[str, Any] | None) -> Any:
    """The value with what a template's parameters already say; those of a rule stay as they are."""
    if not given:
        return value
    names = {**ALERT, **{f"params.{name}": Type.DYN for name in given}}
    values = alert_values(alert_to_json(here.alert)) | {f"params.{name}": one for name, one in given.items()}
    try:
        return settle(value, names, values)
    except EvaluationFailed as failed:
        raise DoesNotFit(str(failed)) from None


def _filled(text: str, words: Mapping[str, str | None]) -> str:
    for name, optional in PLACEHOLDER.findall(text):
        if words.get(name) is None:
            if optional:
                raise _Unknown
            raise DoesNotFit(f"needs {{{name}}}, which is not known")
    return PLACEHOLDER.sub(lambda match: words[match[1]] or "", text)


def _value(value: Any, here: Situation, on: str | None) -> Any:
    """A parameter's value; None: it is to be left out."""
    if isinstance(value, str):
        return _text(value, here, on)
    if isinstance(value, Mapping) and "observed" in value:
        return _observed(value, here, on)
    if isinstance(value, Mapping):
        return {key: found for key, item in value.items() if (found := _value(item, here, on)) is not None}
    if isinstance(value, list | tuple):
        return [found for item in value if (found := _value(item, here, on)) is not None]
    return value


def _text(text: str, here: Situation, on: str | None) -> str | None:
    words = here.words(on)
    try:
        return with_words(text, lambda part: _filled(part, words))
    except _Unknown:
        return None


def _observed(value: Mapping[str, Any], here: Situation, on: str | None) -> Any:
    name = value["observed"]
    fact = here.fact(name, on)
    if fact is None:
        raise DoesNotFit(f"{name} was not observed")
    if holds_secret(fact):
        raise DoesNotFit(f"{name} {FILE_ONLY}")
    if "plus" not in value:
        return _harmless(fact)
    if isinstance(fact, bool) or not isinstance(fact, int):
        raise DoesNotFit(f"{name} is {str(fact)[:40]!r}, not a whole number")
    result: int = min(fact + value["plus"], value.get("at_most", fact + value["plus"]))
    result = max(result, value.get("at_least", result))
    if (result - fact) * value["plus"] <= 0:
        raise DoesNotFit(f"{name} is {fact}, at or beyond its bound")
    return result


def _harmless(fact: Any) -> Any:
    """The fact with nothing in it that would be taken for an expression."""
    if isinstance(fact, Mapping):
        return {str(key): _harmless(item) for key, item in fact.items() if "${{" not in str(key)}
    return [_harmless(item) for item in fact] if isinstance(fact, list | tuple) else literal(fact)
