"""How one setting is declared: its environment name, its default, its rule, and how much of it may be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from workflow_service.settings import rules


class Show(Enum):
    """How much of a value may be printed. What is not `WHOLE` may also come from `<NAME>_FILE`."""

    WHOLE = auto()
    MASK_PASSWORD = auto()  # a URL that may hold one
    MASK = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known about one setting apart from its place and type."""

    env: str
    default: str | None  # as a person would write it; None: unset
    read: rules.Reader
    show: Show
    also: str | None  # its second place in the YAML file, where the specification has two


def setting(
    env: str, default: str | None, read: rules.Reader, *, show: Show = Show.WHOLE, also: str | None = None
) -> Any:
    """The field of a settings dataclass, with all that is known about it."""
    value = None if default is None else read(default)
    return field(default=value, metadata={"rule": Rule(env, default, read, show, also)}, repr=show is Show.WHOLE)
