"""What a template is called, which of its versions is which, and how far it may be used."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

API_VERSION = "workflow.kubernaut.io/v1alpha1"
KIND = "WorkflowTemplate"
NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
VERSION = r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})"
_REFERENCE = re.compile(f"(?P<name>{NAME})@(?P<version>{VERSION})")


class Lifecycle(StrEnum):
    """How far a version may be used."""

    DRAFT = "draft"  # only where it is asked for by name and version
    ACTIVE = "active"  # alerts may lead to it
    DEPRECATED = "deprecated"  # as draft: what refers to it goes on


@dataclass(frozen=True, slots=True)
class Reference:
    """One version of a template: `name@1.2.0`."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def release(self) -> tuple[int, ...]:
        """The version as it is ordered: 1.10.0 comes after 1.9.0."""
        return tuple(map(int, self.version.split(".")))


def reference(text: str) -> Reference:
    """The version that a text names.

    Raises:
        ValueError: it is not of the form name@1.2.3.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ValueError("must be a name and a version, such as restart-deployment@1.0.0")
    return Reference(found["name"], found["version"])


def digest_of(document: Mapping[str, Any]) -> str:
    """What tells one text of a template from another: comments, the order of keys and the lifecycle do not count."""
    metadata = {name: value for name, value in document.get("metadata", {}).items() if name != "lifecycle"}
    body = json.dumps({**document, "metadata": metadata}, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(body.encode()).hexdigest()}"
