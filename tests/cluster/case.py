"""What a case is: one way to use an action, with what must be seen of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.cluster.stage import Stage
from tests.support.kube import Object, Thing
from tests.support.places import Right


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
    target: tuple[str, str]
    arrange: Callable[[Stage], None]
    parameters: Callable[[Stage], dict[str, Any]]
    effect: Callable[[Stage], bool]
    rights: tuple[Right, ...]
    """Without any one of these it must fail as `forbidden`."""
    drift: Drift | None = None
    """After the action, so that its undo is refused; None for what cannot be undone."""
    rival: Drift | None = None
    """Just before the action's write arrives, so that it must look again; None where no such thing is tried."""

    def thing(self, stage: Stage) -> Thing:
        """The target at this stage."""
        return stage.thing(*self.target)
