"""Tokens of Kubernetes service accounts and users, told apart by the API server (TokenReview)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from workflow_service.access.rates import Rates
from workflow_service.access.remembered import Finding
from workflow_service.domain.errors import ProviderAway
from workflow_service.domain.permissions import Caller, Roles, grants_of, plain

BELIEVED, DISTRUSTED = 60.0, 10.0  # seconds for which a yes and a no are believed
PER_SECOND, AT_ONCE = 20.0, 50  # reviews: made-up tokens must not become a load on the API server


@dataclass(frozen=True, slots=True)
class User:
    """A user as Kubernetes knows them."""

    name: str
    groups: Sequence[str] = ()


class Reviews:
    """Asks the API server. `review` answers None for a token that is nobody's or not meant for us."""

    def __init__(
        self, review: Callable[[str], Awaitable[User | None]], roles: Roles, *, monotonic: Callable[[], float]
    ) -> None:
        self._review, self._roles, self._monotonic = review, roles, monotonic
        self._rates = Rates(PER_SECOND, AT_ONCE)

    async def find_out(self, token: str) -> Finding:
        """Whose token it is.

        Raises:
            ProviderAway: the API server does not answer, or has been asked too often.
        """
        if not self._rates.take("", self._monotonic()).given:
            raise ProviderAway("too many unknown tokens to ask Kubernetes about")
        user = await self._review(token)
        if user is None:
            return Finding(None, DISTRUSTED)
        grants = grants_of(self._roles, [user.name, *user.groups])
        return Finding(Caller(plain(f"kubernetes:{user.name}"), grants), BELIEVED)
