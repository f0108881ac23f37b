"""Label and field selectors: the query-string forms and the LabelSelector object."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from executor_service.sandbox.errors import bad_request
from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object, labels_of

Matcher = Callable[[Object], bool]

_FIELDS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        }
    ),
    "events": frozenset(
        {f"involvedObject.{part}" for part in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")}
        | {"reason", "type", "source", "reportingComponent"}
    ),
    "nodes": frozenset({"spec.unschedulable"}),
    "namespaces": frozenset({"status.phase"}),
    "replicasets": frozenset({"status.replicas"}),
}
_EVERYWHERE = frozenset({"metadata.name", "metadata.namespace"})

_KEY = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
_VALUE = r"[A-Za-z0-9._-]*"
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<how>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARE = re.compile(rf"(?P<key>{_KEY})\s*(?P<how>==|=|!=|<|>)\s*(?P<value>{_VALUE})")
_EXISTS = re.compile(rf"(?P<absent>!?)\s*(?P<key>{_KEY})")


@dataclass(frozen=True, slots=True)
class _Requirement:
    """One clause of a label selector, in the words of LabelSelectorRequirement plus Gt and Lt."""

    key: str
    how: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether labels satisfy the clause; NotIn also holds when the key is absent."""
        value = labels.get(self.key)
        match self.how:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        limit = next(iter(self.values))
        if value is None or not value.isdigit() or not limit.isdigit():
            return False
        return int(value) > int(limit) if self.how == "Gt" else int(value) < int(limit)


def labels(text: str) -> Matcher:
    """The matcher of a `labelSelector` query. Raises ApiError 400 when it cannot be parsed."""
    requirements = [_clause(part.strip()) for part in _split(text)]
    return lambda obj: all(requirement.holds(labels_of(obj)) for requirement in requirements)


def _split(text: str) -> list[str]:
    return [part for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _clause(text: str) -> _Requirement:
    if found := _SET.fullmatch(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return _Requirement(found["key"], "In" if found["how"] == "in" else "NotIn", values)
    if found := _COMPARE.fullmatch(text):
        how = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt"}[found["how"]]
        return _Requirement(found["key"], how, frozenset({found["value"]}))
    if found := _EXISTS.fullmatch(text):
        return _Requirement(found["key"], "DoesNotExist" if found["absent"] else "Exists")
    raise bad_request(f"unable to parse requirement: {text!r} is not a label selector clause")


def matches_selector(selector: Object | None, candidate: dict[str, str]) -> bool:
    """Whether labels satisfy a LabelSelector object; None selects nothing, an empty one everything."""
    if selector is None:
        return False
    wanted: dict[str, str] = selector.get("matchLabels") or {}
    if any(candidate.get(key) != value for key, value in wanted.items()):
        return False
    return all(
        _Requirement(rule["key"], rule["operator"], frozenset(rule.get("values") or ())).holds(candidate)
        for rule in selector.get("matchExpressions") or []
    )


def selector_text(selector: Object) -> str:
    """A LabelSelector object in its query form, as the scale subresource shows it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or []:
        values = ",".join(rule.get("values") or ())
        written = {
            "In": f"{rule['key']} in ({values})",
            "NotIn": f"{rule['key']} notin ({values})",
            "Exists": rule["key"],
            "DoesNotExist": f"!{rule['key']}",
        }
        parts.append(written[rule["operator"]])
    return ",".join(parts)


def fields(kind: Kind, text: str) -> Matcher:
    """The matcher of a `fieldSelector` query. Raises ApiError 400 for a field the kind does not offer."""
    clauses = [_field_clause(kind, part.strip()) for part in text.split(",") if part.strip()]
    return lambda obj: all((_field(obj, path) == value) is equal for path, value, equal in clauses)


def _field_clause(kind: Kind, text: str) -> tuple[str, str, bool]:
    path, how, value = re.match(r"([^=!]*)(==|!=|=)?(.*)", text).groups()  # type: ignore[union-attr]  # matches anything
    if how is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    if path not in _EVERYWHERE | _FIELDS.get(kind.plural, frozenset()):
        raise bad_request(f"field label not supported: {path}")
    return path, value, how != "!="


def _field(obj: Object, path: str) -> str:
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if path == "source" and isinstance(value, dict):
        return str(value.get("component", ""))
    if value is None:
        return "false" if path == "spec.unschedulable" else ""
    return str(value)
