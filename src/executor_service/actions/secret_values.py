"""Values that a plan names and never holds, `{secretRef: {name, key}}`: read when they are used, and then forgotten.

Only Secrets that READABLE_SECRETS lists may be named. What is stored, logged and answered is the reference.
"""

import base64
import binascii
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from executor_service.actions.requirements import Rule, rights
from executor_service.actions.run import Run
from executor_service.contract import ActionFailedError, ErrorClass, ObjectRef

READABLE = "READABLE_SECRETS"
"""The setting that lists them."""
NEEDS_WITH: dict[str, tuple[Rule, ...]] = {READABLE: (rights("Secret", "get"),)}
"""What an action that takes such values needs besides, where some may be read."""


class SecretKey(BaseModel):
    """One key of one Secret, as Kubernetes' own secretKeyRef names it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class SecretValue(BaseModel):
    """A value that is kept in a Secret."""

    model_config = ConfigDict(extra="forbid", strict=True)

    secret_ref: SecretKey = Field(alias="secretRef")


async def expect(run: Run, value: SecretValue, namespace: str) -> str:
    """See that the value may be read and is there; it is answered as the cluster holds it, in base64.

    Raises ActionFailedError: forbidden when nothing allows it, permanent when Secret or key do not exist.
    """
    ref, key = ObjectRef("Secret", namespace, value.secret_ref.name), value.secret_ref.key
    if not any(fnmatchcase(f"{namespace}/{ref.name}", pattern) for pattern in run.world.allowed.readable):
        raise ActionFailedError(ErrorClass.FORBIDDEN, f"{ref} is not listed in {READABLE}", refused=True)
    found = await run.find(ref)
    if found is None:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} does not exist")
    data = found.get("data") or {}
    if key not in data:
        known = ", ".join(sorted(data)) or "none"
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} has no key {key!r} (keys: {known})")
    return str(data[key])


async def resolve(run: Run, value: SecretValue, namespace: str) -> str:
    """The value as text, without a line break at its end, which files tend to have.

    Raises ActionFailedError as `expect` does, and permanent when the value is no text.
    """
    held = await expect(run, value, namespace)
    try:
        return base64.b64decode(held, validate=True).decode("utf-8").rstrip("\r\n")
    except (binascii.Error, UnicodeDecodeError):
        ref = ObjectRef("Secret", namespace, value.secret_ref.name)
        text = f"{ref}: the value of {value.secret_ref.key!r} is no text"
        raise ActionFailedError(ErrorClass.PERMANENT, text) from None
