"""JSON Web Tokens of an OIDC issuer: signature, algorithm, issuer, audience and time, then claims to grants.

The library is imported with the first token: it brings a cryptography library, which few starts need.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow_service.access.jwks import Jwk, Jwks
from workflow_service.access.remembered import Finding
from workflow_service.domain.permissions import Caller, Roles, grants_of, plain

LEEWAY = 30.0  # seconds by which clocks may differ
BELIEVED = 60.0  # seconds for which a token that was found good is not looked at again; never beyond its own end
NOBODY = Finding(None, 5.0)
_ODD = (ValueError, TypeError, OverflowError, RecursionError)  # of claims in other shapes than RFC 7519 has


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whom we believe, and what its claims mean."""

    issuer: str
    audience: str
    algorithms: Sequence[str]  # asymmetric ones only
    name_claim: str
    roles_claim: str  # a path: `groups`, `realm_access.roles`
    roles: Roles


class Tokens:
    """Checks tokens of one issuer."""

    def __init__(self, issuer: Issuer, keys: Jwks) -> None:
        self._issuer, self._keys = issuer, keys

    async def find_out(self, token: str) -> Finding:
        """Whose token it is.

        Raises:
            ProviderAway: its key is not known, and the issuer does not answer.
        """
        import jwt  # noqa: PLC0415 - see above

        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._issuer.algorithms or not isinstance(header.get("kid", ""), str):
                return NOBODY
            key = await self._keys.key(header.get("kid"))
            if key is None or key.get("alg", header["alg"]) != header["alg"]:
                return NOBODY
            claims = self._claims(token, key, header["alg"])
            return self._finding(claims)
        except (jwt.PyJWTError, *_ODD):
            return NOBODY

    def ours(self, token: str) -> bool:
        """Whether the token says that it is of this issuer; nothing is proved by that."""
        import jwt  # noqa: PLC0415 - see above

        try:
            said = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, *_ODD):
            return False
        return bool(said == self._issuer.issuer)

    def _claims(self, token: str, key: Jwk, algorithm: str) -> Mapping[str, Any]:
        import jwt  # noqa: PLC0415 - see above

        return jwt.decode(
            token,
            jwt.PyJWK(dict(key), algorithm),
            algorithms=[algorithm],
            audience=self._issuer.audience,
            issuer=self._issuer.issuer,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )

    def _finding(self, claims: Mapping[str, Any]) -> Finding:
        name = claims.get(self._issuer.name_claim)
        if not isinstance(name, str) or not name:
            return NOBODY
        grants = grants_of(self._issuer.roles, _words(_at(claims, self._issuer.roles_claim)))
        left = float(claims["exp"]) + LEEWAY - time.time()
        return Finding(Caller(plain(f"oidc:{name}"), grants), min(BELIEVED, left))


def _at(claims: Mapping[str, Any], path: str) -> object:
    """The claim of that very name, or what lies at that path."""
    if path in claims:
        return claims[path]
    found: object = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _words(value: object) -> Sequence[str]:
    """A list of texts, or a text of words as `scope` is (RFC 8693, section 4.2)."""
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
