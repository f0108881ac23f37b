"""How an action is declared: parameters, targets, risk, reversibility, time; and what its function answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from executor_service.actions.requirements import Requirement, Rule
from executor_service.actions.run import Run
from executor_service.contract import Json

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

Namespace = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63, description="Namespace of the target")]
ResourceName = Annotated[str, Field(pattern=OBJECT_NAME_PATTERN, max_length=253, description="Name of the target")]
Replicas = Annotated[int, Field(ge=0, le=100, description="Wanted number of pods")]
Reason = Annotated[str | None, Field(max_length=1000, description="Why, for the logs")]


class Parameters(BaseModel):
    """Base of all parameter models: no unknown names, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Reason = None


class Namespaced(Parameters):
    """A target in a namespace."""

    namespace: Namespace
    resource_name: ResourceName


@dataclass(frozen=True, slots=True)
class Done:
    """What a successful action says; what it changed is known from its effects."""

    message: str
    result: dict[str, Json] = field(default_factory=dict)
    take_back_after: float | None = None
    """Seconds after which the executor undoes the action by itself, under the key `<key>:auto-revert`."""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One entry of the catalogue.

    `needs` are the rights that the function and its undo use; `requires` decides whether it is offered here;
    `undone_by` says in words what an undo does. An action with `own_targets` changes only what the operator has
    configured: its namespace parameter is where trouble is seen, not what is changed.
    """

    name: str
    family: str
    description: str
    parameters: type[Parameters]
    target_kinds: tuple[str, ...]
    risk: Literal["low", "medium", "high"]
    timeout_seconds: int
    perform: Callable[[Run, Any], Awaitable[Done]]
    changes: bool = True
    irreversible_reason: str | None = None
    needs: tuple[Rule, ...] = ()
    needs_with: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    """What it needs besides, where this setting is set."""
    requires: tuple[Requirement, ...] = ()
    aliases: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Other names that mean the same, each with the parameters that the name implies."""
    parameter_aliases: Mapping[str, str] = field(default_factory=dict)
    done_when: str = "the API server has taken the change"
    undone_by: str = "the earlier values are written back"
    undone_forwards: bool = False
    own_targets: bool = False

    @property
    def reversible(self) -> bool:
        """Whether the action `undo` can take it back."""
        return self.changes and self.irreversible_reason is None
