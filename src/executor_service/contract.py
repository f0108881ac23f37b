"""Values that every part of the executor shares: states, error classes, planned writes. No I/O belongs here."""

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self, TypeAlias

Json: TypeAlias = Any
"""A decoded JSON value."""


class Status(StrEnum):
    """States of an action as the wire names them; all but `running` are final."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class ErrorClass(StrEnum):
    """Why an action did not complete, in the words that a caller's retry policy reads."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    TIMEOUT = "timeout"
    WRONG_CLUSTER = "wrong_cluster"
    UNKNOWN = "unknown"


class ActionFailedError(Exception):
    """An action ends without success: its class, what to tell, and whether nothing at all was attempted.

    `about` names rule, field and value where a rule of ours said no.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        refused: bool = False,
        result: dict[str, Json] | None = None,
        about: dict[str, Json] | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.refused = refused
        self.result = result or {}
        self.about = about or {}


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One Kubernetes object by kind (as the API spells it), namespace (None for cluster-wide kinds) and name."""

    kind: str
    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field (RFC 6901 pointer) of one object; None stands for an absent field, as Kubernetes stores no nulls."""

    pointer: str
    before: Json
    after: Json


class Verb(StrEnum):
    """How a planned effect reaches its receiver."""

    PATCH = "patch"
    DELETE = "delete"
    EVICT = "evict"
    CREATE = "create"
    SILENCE = "silence"
    DELIVER = "deliver"


OUTSIDE = frozenset({Verb.SILENCE, Verb.DELIVER})
"""Effects that reach somebody else than the API server: they are never in doubt, only sent again."""


@dataclass(frozen=True, slots=True)
class Write:
    """One conditional effect, complete enough to be sent again after a crash and to be compared with what is there.

    `guards` are pointers and the values the server must find there; `notes` are facts of the planning moment that the
    action needs later (they survive a restart); `undoes` names the (key, slot) of the write that this one takes back.
    A creation has one field, the whole document (pointer ""). `sealed` are pointers whose values are secret: each says
    where the value comes from on its way to the server, and once it is there its SHA-256, never the value itself.
    `kept` is what an undo leaves in place.
    """

    verb: Verb
    ref: ObjectRef
    uid: str = ""
    fields: tuple[FieldChange, ...] = ()
    guards: dict[str, Json] = field(default_factory=dict)
    version: dict[str, Json] = field(default_factory=dict)
    grace_period_seconds: int | None = None
    notes: dict[str, Json] = field(default_factory=dict)
    undoes: tuple[str, str] | None = None
    sealed: dict[str, dict[str, Json]] = field(default_factory=dict)
    kept: bool = False

    @property
    def takes_back(self) -> bool:
        """Whether an undo has something to do about this write."""
        return self.verb in {Verb.PATCH, Verb.CREATE, Verb.SILENCE} and not self.kept

    def to_json(self) -> dict[str, Json]:
        """The form that the ledger stores."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Json]) -> Self:
        """The inverse of `to_json`."""
        return cls(
            **data
            | {
                "verb": Verb(data["verb"]),
                "ref": ObjectRef(**data["ref"]),
                "fields": tuple(FieldChange(**item) for item in data["fields"]),
                "undoes": tuple(data["undoes"]) if data["undoes"] else None,
            }
        )

    def with_values_of(self, values: dict[str, Json]) -> Self:
        """The same write with `after` as the server stored it (it may spell a quantity in another way)."""
        changed = tuple(replace(item, after=values.get(item.pointer, item.after)) for item in self.fields)
        return replace(self, fields=changed)

    def taking_back(self, key: str, slot: str) -> Self:
        """The same write, known as the undo of that slot of that key."""
        return replace(self, undoes=(key, slot))

    def noting(self, notes: dict[str, Json]) -> Self:
        """The same write with facts to remember."""
        return replace(self, notes=notes)


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """A host that webhooks may go to. `plain`: http too; `near`: also when it is on loopback or link-local."""

    host: str
    port: int | None
    plain: bool
    near: bool


@dataclass(frozen=True, slots=True)
class Order:
    """One request to act, validated: what to do, under which key, and for how long it may take (seconds)."""

    key: str
    type: str
    parameters: dict[str, Json]
    dry_run: bool
    remaining_seconds: float | None
    cluster: str | None
    request: dict[str, Json]
