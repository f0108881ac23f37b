"""From what somebody wants of a new key to its row, or to what is wrong with the wish."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflow_service.access import api_key
from workflow_service.domain.errors import Rejected, Violation
from workflow_service.domain.permissions import NAME_LIMIT, Right
from workflow_service.store.api_keys import ApiKey

_NAME = re.compile(rf"[A-Za-z0-9._@/+-]{{1,{NAME_LIMIT - len('key:')}}}")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, as Kubernetes has it


@dataclass(frozen=True, slots=True)
class Wish:
    """What the key is to be. No namespaces: all; no lifetime: for ever."""

    name: str
    rights: Sequence[Right]
    namespaces: Sequence[str] = ()
    lifetime: timedelta | None = None


def issue(wish: Wish, *, now: datetime) -> tuple[ApiKey, str]:
    """The row of a new key, and the key itself.

    Raises:
        Rejected: the wish breaks rules.
    """
    broken = [
        Violation("namespace", one, "must be the name of a namespace")
        for one in wish.namespaces
        if not _NAMESPACE.fullmatch(one)
    ]
    if not _NAME.fullmatch(wish.name):
        broken.append(Violation("name", wish.name, f"must be 1 to {NAME_LIMIT - 4} of A-Z a-z 0-9 . _ @ / + -"))
    if broken:
        raise Rejected("no such key can be made", broken)
    key_id, key = api_key.new()
    row = ApiKey(
        id=key_id,
        name=wish.name,
        digest=api_key.digest(key),
        rights=tuple(dict.fromkeys(wish.rights)),
        namespaces=frozenset(wish.namespaces) or None,
        created_at=now,
        expires_at=None if wish.lifetime is None else now + wish.lifetime,
    )
    return row, key
