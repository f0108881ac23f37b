"""Whether an answer may be given to its question: all flaws, each with place, rule and what is allowed. Pure.

A closed form: what is not declared is refused rather than dropped, since dropping would hide an attack. No flaw quotes
the answer, so that none of its words comes back to a model as ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
import referencing

from workflow_service.domain.advice import (
    MOST_SUGGESTIONS,
    STAGES,
    TARGET_PARAMETERS,
    Candidate,
    Draft,
    Pick,
    Question,
    Suggestion,
    Task,
)
from workflow_service.domain.answer_schema import (
    LONGEST_DURATION,
    LOWEST_PRIORITY,
    ROOT_CAUSE,
    SUMMARY,
    TEXT,
    WHY,
    most_picks,
)
from workflow_service.domain.answer_text import Reason
from workflow_service.domain.redaction import cleaned
from workflow_service.domain.secret_references import FILE_ONLY, holds_secret

MOST_FLAWS = 20
_KEYS = frozenset({"picks", "suggested", "confidence_percent", "root_cause", "summary"})
_PICK_KEYS = frozenset({"candidate", "parameters", "priority", "estimated_seconds"})
_SUGGESTION_KEYS = frozenset({"action", "parameters", "why"})
_NOWHERE: referencing.Registry[Any] = referencing.Registry()  # what a schema refers to is never fetched


@dataclass(frozen=True, slots=True)
class Flaw:
    """One broken rule; `at` is a place in the answer in words of ours."""

    at: str
    rule: str
    reason: Reason

    def __str__(self) -> str:
        return f"{self.at}: {self.rule}"


def check(document: object, task: Task, question: Question) -> Draft | tuple[Flaw, ...]:
    """The answer as a draft, or everything that is wrong with it (20 flaws at most)."""
    checking = _Checking(task, question)
    draft = checking.answer(document)
    return tuple(checking.flaws[:MOST_FLAWS]) or draft


class _Checking:
    """One pass over an answer; collects flaws instead of stopping at the first."""

    def __init__(self, task: Task, question: Question) -> None:
        self.task, self.question = task, question
        self.flaws: list[Flaw] = []

    def answer(self, document: object) -> Draft:
        """What was understood; of no use when there are flaws."""
        found = self._object("answer", document, _KEYS)
        percent = self._whole("confidence_percent", found.get("confidence_percent"), 0, 100, needed=True)
        return Draft(
            picks=tuple(self._picks(found.get("picks"))),
            suggestions=tuple(self._suggestions(found.get("suggested"))),
            reported=(percent or 0) / 100,
            root_cause=self._text("root_cause", found.get("root_cause"), ROOT_CAUSE),
            summary=self._text("summary", found.get("summary"), SUMMARY),
        )

    def _refuse(self, at: str, rule: str, reason: Reason = Reason.SCHEMA) -> None:
        self.flaws.append(Flaw(at, rule, reason))

    def _object(self, at: str, value: object, keys: frozenset[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self._refuse(at, "must be a JSON object")
            return {}
        if strange := set(value) - keys:
            reason = Reason.TARGET if strange & TARGET_PARAMETERS else Reason.SCHEMA
            self._refuse(at, f"must have no other keys than {', '.join(sorted(keys))}", reason)
        return value

    def _list(self, at: str, value: object, most: int) -> Sequence[object]:
        if not isinstance(value, list):
            self._refuse(at, "must be a list")
            return ()
        if len(value) > most:
            self._refuse(at, f"must have at most {most} entries")
        return value[:most]

    def _picks(self, value: object) -> Iterator[Pick]:
        seen: set[str] = set()
        for index, raw in enumerate(self._list("picks", value, most_picks(self.task, self.question))):
            at = f"picks.{index}"
            entry = self._object(at, raw, _PICK_KEYS | ({"condition"} if self.task is Task.GENERATE else set()))
            candidate = self._offered(f"{at}.candidate", entry.get("candidate"), self.question.candidates)
            if candidate is None:
                continue
            if candidate.name in seen:
                self._refuse(f"{at}.candidate", "must not be named twice", Reason.CANDIDATE)
            seen.add(candidate.name)
            yield Pick(
                candidate.name,
                self._parameters(f"{at}.parameters", entry.get("parameters"), candidate),
                self._whole(f"{at}.priority", entry.get("priority"), 1, LOWEST_PRIORITY),
                self._whole(f"{at}.estimated_seconds", entry.get("estimated_seconds"), 1, LONGEST_DURATION),
                self._condition(f"{at}.condition", entry.get("condition")),
            )

    def _condition(self, at: str, value: object) -> str | None:
        if value is None or value in STAGES:
            return str(value) if value is not None else None
        self._refuse(at, f"must be one of: {', '.join(STAGES)}")
        return None

    def _suggestions(self, value: object) -> Iterator[Suggestion]:
        if value is None:
            return
        for index, raw in enumerate(self._list("suggested", value, MOST_SUGGESTIONS)):
            at = f"suggested.{index}"
            entry = self._object(at, raw, _SUGGESTION_KEYS)
            action = self._offered(f"{at}.action", entry.get("action"), self.question.suggestible)
            if action is not None:
                parameters = self._parameters(f"{at}.parameters", entry.get("parameters"), action)
                why = self._text(f"{at}.why", entry.get("why"), WHY)
                yield Suggestion(action.name, parameters, action.changes, why)

    def _offered(self, at: str, value: object, offered: Sequence[Candidate]) -> Candidate | None:
        found = next((one for one in offered if one.name == value), None)
        if found is None:
            names = ", ".join(one.name for one in offered)
            self._refuse(at, f"must be one of: {names}" if names else "nothing may be named here", Reason.CANDIDATE)
        return found

    def _parameters(self, at: str, value: object, candidate: Candidate) -> dict[str, Any]:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            self._refuse(at, "must be a JSON object")
            return {}
        if strange := set(value) - set(candidate.parameters):
            reason = Reason.TARGET if strange & TARGET_PARAMETERS else Reason.PARAMETER
            may = f"only {', '.join(sorted(candidate.parameters))} may be set" if candidate.parameters else "must be {}"
            self._refuse(at, may, reason)
        given = {name: value[name] for name in candidate.parameters if value.get(name) is not None}
        for name in sorted(candidate.required - set(given)):
            self._refuse(f"{at}.{name}", "must be given", Reason.PARAMETER)
        return {name: self._value(f"{at}.{name}", one, candidate.parameters[name]) for name, one in given.items()}

    def _value(self, at: str, value: Any, schema: Mapping[str, Any]) -> Any:
        if isinstance(value, float) and value.is_integer() and schema.get("type") == "integer":
            value = int(value)
        if isinstance(value, str) and (len(value) > TEXT or cleaned(value, TEXT) != value):
            self._refuse(at, f"must be at most {TEXT} plain characters without a secret", Reason.PARAMETER)
            return value
        if holds_secret(value):
            self._refuse(at, FILE_ONLY, Reason.PARAMETER)
        validator = jsonschema.Draft202012Validator(dict(schema), registry=_NOWHERE)
        for error in validator.iter_errors(value):
            self._refuse(at, _rule(error), Reason.PARAMETER)
        return value

    def _whole(self, at: str, value: object, low: int, high: int, *, needed: bool = False) -> int | None:
        if value is None and not needed:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._refuse(at, f"must be a whole number from {low} to {high}")
            return None
        return value

    def _text(self, at: str, value: object, limit: int) -> str:
        """Words are shown, never acted upon: too many are cut, and none may hide."""
        if value is None:
            return ""
        if not isinstance(value, str):
            self._refuse(at, "must be a text")
            return ""
        return cleaned(value, limit)


# By keyword of JSON Schema: the rule, from the value that the keyword has.
_RULES: Mapping[str, Callable[[Any], str]] = {
    "type": lambda wanted: f"must be of type {wanted}",
    "enum": lambda wanted: f"must be one of: {', '.join(map(str, wanted))}",
    "const": lambda wanted: f"must be {wanted}",
    "minimum": lambda wanted: f"must be at least {wanted}",
    "maximum": lambda wanted: f"must be at most {wanted}",
    "exclusiveMinimum": lambda wanted: f"must be more than {wanted}",
    "exclusiveMaximum": lambda wanted: f"must be less than {wanted}",
    "multipleOf": lambda wanted: f"must be a multiple of {wanted}",
    "minLength": lambda wanted: f"must have at least {wanted} characters",
    "maxLength": lambda wanted: f"must have at most {wanted} characters",
    "pattern": lambda wanted: f"must match {wanted}",
}


def _rule(error: jsonschema.ValidationError) -> str:
    """The library's own message would quote the answer."""
    found = _RULES.get(str(error.validator))
    return found(error.validator_value) if found else f"breaks its rule {error.validator}"
