"""What a case is: one way to use an action, with what must be seen of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.cluster.stage import Stage
from tests.support.kube import Object, Thing
from tests.support.places import Right

from executor_service.actions.catalogue import Catalogue
from executor_service.actions.spec import ActionSpec


@dataclass(frozen=True, slots=True)
class Drift:
    """A foreign change of the very field that the action changes: the pointer, and the value (None: taken away)."""

    pointer: str
    value: Any
    seen: Any = None
    """What the action tells as the value before, if that is not `value` itself."""

    @property
    def operations(self) -> list[Object]:
        """As a JSON Patch."""
        if self.value is None:
            return [{"op": "remove", "path": self.pointer}]
        return [{"op": "add", "path": self.pointer, "value": self.value}]


@dataclass(frozen=True, slots=True)
class Case:
    """One way to use an action. `target` is the object that it changes (or, if it changes none, looks at)."""

    name: str
    type: str
    target: tuple[str, ...]
    """Kind and name, or kind, namespace and name; `noted:pod` is a name that `arrange` left in the notes as `pod`."""
    arrange: Callable[[Stage], None]
    parameters: Callable[[Stage], dict[str, Any]]
    effect: Callable[[Stage], bool]
    rights: tuple[Right, ...]
    """Without any one of these it must fail as `forbidden`."""
    drift: Drift | None = None
    """After the action, so that its undo is refused; None for what cannot be undone."""
    rival: Drift | None = None
    """Just before the action's write arrives, so that it must look again; None where no such thing is tried."""
    changes: bool = True
    """Whether it lists changes; what only looks or tells does not."""
    creates: bool = False
    """Whether the target is not there before."""
    undo_rights: tuple[Right, ...] = ()
    """Without any one of these its undo must fail as `forbidden`, and change nothing."""
    lesser: tuple[tuple[Right, Callable[[Object], bool]], ...] = ()
    """Rights without which it completes, but its result says what it lacks."""

    @property
    def spec(self) -> ActionSpec:
        """The declaration of the action."""
        found = Catalogue().find(self.type)
        assert found is not None, self.type
        return found

    def thing(self, stage: Stage) -> Thing:
        """The target at this stage."""
        *place, name = self.target
        marked, _, note = name.partition("noted:")
        return stage.thing(*place, marked or stage.notes[note])
