"""What an API key looks like: `wfs_<id>_<secret>`. The id finds the row, the secret has 256 bits of chance.

A secret of that size cannot be guessed, so a plain SHA-256 keeps it; salts and slow hashes are for passwords.
"""

from __future__ import annotations

import hashlib
import re
import secrets

PREFIX = "wfs_"
_FORM = re.compile(r"wfs_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


def new() -> tuple[str, str]:
    """A key's id, and the key itself, which is to be shown once and never kept."""
    key_id = secrets.token_hex(6)
    return key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"


def id_of(key: str) -> str | None:
    """The id within a key; None: this is no key."""
    match = _FORM.fullmatch(key)
    return match[1] if match else None


def digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
