"""From an `Authorization` header to a caller: `Bearer`, or `Basic` with the credential as its password.

Basic is for senders such as Alertmanager's `basic_auth`; whatever stands for the user is not looked at.
"""

from __future__ import annotations

import base64
import binascii

from workflow_service.access import api_key
from workflow_service.access.keyring import Keyring
from workflow_service.access.remembered import Remembered
from workflow_service.domain.errors import Unauthenticated
from workflow_service.domain.permissions import Caller

LONGEST = 16 * 1024  # characters of a credential


class Authenticator:
    """Knows who calls: by a key of ours, or by a token of somebody else's. What is None is not accepted here."""

    def __init__(self, *, keys: Keyring | None = None, tokens: Remembered | None = None) -> None:
        self._keys, self._tokens = keys, tokens

    async def caller(self, authorization: str | None) -> Caller:
        """Who proves to be calling.

        Raises:
            Unauthenticated: nobody that is known here.
            StoreUnavailable: the keys cannot be read now.
            ProviderAway: who knows the token's owner does not answer.
        """
        credential = credential_of(authorization)
        found = None
        if credential.startswith(api_key.PREFIX):
            found = await self._keys.caller(credential) if self._keys is not None else None
        elif self._tokens is not None:
            found = await self._tokens.caller(credential)
        if found is None:
            raise Unauthenticated("the credential is not valid here")
        return found


def credential_of(authorization: str | None) -> str:
    """The credential within the header.

    Raises:
        Unauthenticated: there is none.
    """
    scheme, _, rest = (authorization or "").partition(" ")
    rest = rest.strip()
    if scheme.lower() == "basic":
        try:
            _, _, rest = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            rest = ""
    elif scheme.lower() != "bearer":
        rest = ""
    if not rest or len(rest) > LONGEST:
        raise Unauthenticated("a credential is required: Authorization: Bearer, or Basic with it as the password")
    return rest
