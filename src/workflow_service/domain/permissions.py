"""Who may do what: rights and what they imply, callers, and every route with the right that it needs, as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from workflow_service.domain.states import Verb

NAME_LIMIT = 200  # characters of a caller's name


class Right(StrEnum):
    """What somebody may do. Approving is a right of its own: who operates does not approve."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


IMPLIES: Mapping[Right, frozenset[Right]] = {
    Right.VIEWER: frozenset({Right.VIEWER}),
    Right.OPERATOR: frozenset({Right.VIEWER, Right.OPERATOR}),
    Right.APPROVER: frozenset({Right.VIEWER, Right.APPROVER}),
    Right.ADMIN: frozenset(Right),
}

Reach = frozenset[str] | None
"""The namespaces in which somebody may do something; None: everywhere, empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A right, everywhere or in some namespaces only."""

    right: Right
    namespaces: Reach = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as proved: `key:<name>`, `oidc:<subject>`, `kubernetes:<username>` or `webhook`."""

    name: str
    grants: tuple[Grant, ...]

    def reach(self, right: Right) -> Reach:
        """Where this caller has `right`, by all grants together."""
        fitting = [grant.namespaces for grant in self.grants if right in IMPLIES[grant.right]]
        if None in fitting:
            return None
        return frozenset().union(*(found for found in fitting if found is not None))


@dataclass(frozen=True, slots=True)
class Sight:
    """Who looks, and the namespaces beyond which they see nothing."""

    name: str
    namespaces: frozenset[str]


Roles = Mapping[str, tuple[Grant, ...]]
"""What an identity provider's names (groups, roles, users) mean here."""


def grants_of(roles: Roles, names: Iterable[str]) -> tuple[Grant, ...]:
    """What somebody may do who goes by these names; what a name means that is not known here: nothing."""
    return tuple(dict.fromkeys(grant for name in names for grant in roles.get(name, ())))


def plain(name: str) -> str:
    """A name as it can stand in a header, a log line and a row: printable ASCII, the rest escaped, cut."""
    escaped = "".join(one if " " <= one <= "~" else one.encode("unicode_escape").decode() for one in name)
    return escaped[:NAME_LIMIT]


class About(Enum):
    """What a route is about, which decides what a caller limited to namespaces may do with it."""

    NOTHING = auto()  # asked by machines that have no credentials; says nothing about any workflow
    INTAKE = auto()  # brings alerts: those of the caller's namespaces; never slowed down
    ORDER = auto()  # makes a workflow by hand: in the caller's namespaces
    WORKFLOW = auto()  # one workflow: if it is of the caller's namespaces, else it does not exist
    ALERT = auto()  # one alert, likewise
    DELIVERY = auto()  # one delivery: if all in it is of the caller's namespaces, or it was the caller who sent it
    SILENCE = auto()  # one silence: if it holds in the caller's namespaces only
    LIST = auto()  # many: those of the caller's namespaces
    SERVICE = auto()  # the service as a whole: nothing for who is limited to namespaces


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks of its callers; `right` None: nothing, anybody may."""

    right: Right | None
    about: About


VERBS: Mapping[Verb, Right] = {
    Verb.START: Right.OPERATOR,
    Verb.APPROVE: Right.APPROVER,
    Verb.REJECT: Right.APPROVER,
    Verb.EXTEND: Right.APPROVER,
    Verb.PAUSE: Right.OPERATOR,
    Verb.RESUME: Right.OPERATOR,
    Verb.CANCEL: Right.OPERATOR,
    Verb.ROLLBACK: Right.OPERATOR,
    Verb.RETRY: Right.OPERATOR,
    Verb.SKIP_STEP: Right.OPERATOR,
    Verb.SET_PRIORITY: Right.OPERATOR,
}
# Who gave one of these has asked for what an approval may then be needed for.
REQUESTS: frozenset[Verb] = frozenset({Verb.START, Verb.ROLLBACK, Verb.RETRY})

_ANYBODY = Need(None, About.NOTHING)
_READS_ONE = Need(Right.VIEWER, About.WORKFLOW)
_READS_MANY = Need(Right.VIEWER, About.LIST)
_READS_ALL = Need(Right.VIEWER, About.SERVICE)

# By method and path template, as the application's routes have them. A route that is not here can be called by nobody
# but an admin; a test finds it.
NEEDS: Mapping[tuple[str, str], Need] = {
    ("GET", "/health"): _ANYBODY,
    ("GET", "/livez"): _ANYBODY,
    ("GET", "/readyz"): _ANYBODY,
    ("HEAD", "/health"): _ANYBODY,
    ("HEAD", "/livez"): _ANYBODY,
    ("HEAD", "/readyz"): _ANYBODY,
    ("GET", "/openapi.json"): _ANYBODY,
    ("HEAD", "/openapi.json"): _ANYBODY,
    ("GET", "/api/v1/schemas/workflowtemplate-v1alpha1.json"): _ANYBODY,
    ("GET", "/metrics"): Need(Right.VIEWER, About.SERVICE),
    ("POST", "/api/v1/execute"): Need(Right.OPERATOR, About.INTAKE),
    ("POST", "/api/v1/alerts"): Need(Right.OPERATOR, About.INTAKE),
    ("GET", "/api/v1/alerts"): _READS_MANY,
    ("GET", "/api/v1/alerts/{alert_id}/explain"): Need(Right.VIEWER, About.ALERT),
    ("GET", "/api/v1/deliveries"): _READS_MANY,
    ("GET", "/api/v1/deliveries/{delivery_id}"): Need(Right.VIEWER, About.DELIVERY),
    ("POST", "/api/v1/deliveries/{delivery_id}/replay"): Need(Right.OPERATOR, About.DELIVERY),
    ("GET", "/api/v1/silences"): _READS_MANY,
    ("POST", "/api/v1/silences"): Need(Right.OPERATOR, About.ORDER),
    ("GET", "/api/v1/silences/{silence_id}"): Need(Right.VIEWER, About.SILENCE),
    ("DELETE", "/api/v1/silences/{silence_id}"): Need(Right.OPERATOR, About.SILENCE),
    ("GET", "/api/v1/templates"): _READS_ALL,
    ("GET", "/api/v1/templates/{name}/{version}"): _READS_ALL,
    ("GET", "/api/v1/halt"): _READS_ALL,
    ("POST", "/api/v1/halt"): Need(Right.ADMIN, About.SERVICE),
    ("DELETE", "/api/v1/halt"): Need(Right.ADMIN, About.SERVICE),
    ("GET", "/api/v1/overrides"): _READS_ALL,
    ("POST", "/api/v1/overrides"): Need(Right.ADMIN, About.SERVICE),
    ("DELETE", "/api/v1/overrides/{override_id}"): Need(Right.ADMIN, About.SERVICE),
    ("GET", "/api/v1/latches"): _READS_ALL,
    ("DELETE", "/api/v1/latches/{environment}"): Need(Right.ADMIN, About.SERVICE),
    ("POST", "/api/v1/explain"): _READS_ALL,
    ("POST", "/api/v1/workflows"): Need(Right.OPERATOR, About.ORDER),
    ("POST", "/api/v1/simulate"): Need(Right.OPERATOR, About.ORDER),
    ("GET", "/api/v1/workflows"): _READS_MANY,
    ("GET", "/api/v1/rollbacks"): _READS_MANY,
    ("GET", "/api/v1/notifications"): _READS_MANY,
    ("GET", "/api/v1/workflows/{workflow_id}/link"): _ANYBODY,  # the ticket in its query says who, and what
    ("POST", "/api/v1/workflows/{workflow_id}/link"): _ANYBODY,
    ("GET", "/api/v1/status"): _READS_ONE,
    ("GET", "/api/v1/workflows/{workflow_id}"): _READS_ONE,
    ("GET", "/api/v1/workflows/{workflow_id}/commands"): _READS_ONE,
    ("GET", "/api/v1/workflows/{workflow_id}/events"): _READS_ONE,
    ("GET", "/api/v1/events"): _READS_MANY,
    **{
        ("POST", f"/api/v1/workflows/{{workflow_id}}/{verb}"): Need(right, About.WORKFLOW)
        for verb, right in VERBS.items()
    },
    ("POST", "/api/v1/workflows/{workflow_id}/{verb}"): Need(Right.OPERATOR, About.WORKFLOW),  # which says: no verb
}


@dataclass(frozen=True, slots=True)
class Place:
    """A route that a path leads to."""

    template: str
    values: Mapping[str, str]  # what stands for the template's names


class Map:
    """Finds routes by path, in the order in which they are given, whole names before `{placeholders}`."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._whole: dict[str, Place] = {}
        self._shaped: dict[int, list[tuple[str, ...]]] = {}
        for template in dict.fromkeys(templates):
            if "{" not in template:
                self._whole[template] = Place(template, {})
                continue
            parts = tuple(template.split("/"))
            self._shaped.setdefault(len(parts), []).append(parts)
        for shapes in self._shaped.values():
            shapes.sort(key=lambda parts: sum(part.startswith("{") for part in parts))

    def find(self, path: str) -> Iterator[Place]:
        """The routes that the path could mean, the most exact first."""
        if path in self._whole:
            yield self._whole[path]
        given = path.split("/")
        for parts in self._shaped.get(len(given), ()):
            values = _fit(parts, given)
            if values is not None:
                yield Place("/".join(parts), values)


def _fit(parts: tuple[str, ...], given: list[str]) -> Mapping[str, str] | None:
    values: dict[str, str] = {}
    for part, word in zip(parts, given, strict=True):
        if part.startswith("{") and word:
            values[part[1:-1]] = word
        elif part != word:
            return None
    return values


_MAP = Map(template for _, template in NEEDS)
_OPEN = {template for _, template in NEEDS} - {template for (_, template), need in NEEDS.items() if need.right}


def need_of(method: str, path: str) -> tuple[Need, Place] | None:
    """What this request needs, and the route it is for; None: no route that is known here."""
    for place in _MAP.find(path):
        need = NEEDS.get((method, place.template))
        if need is not None:
            return need, place
    return None


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that the path's most exact route knows, sorted; none: there is no such path."""
    exact = next((place.template for place in _MAP.find(path)), None)
    return tuple(sorted({method for method, template in NEEDS if template == exact}))


def asks_nobody(path: str) -> bool:
    """Whether there is such a path, and none of its methods needs a right."""
    return next((place.template for place in _MAP.find(path)), None) in _OPEN
