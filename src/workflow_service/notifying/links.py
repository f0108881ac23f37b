"""The links of a message: to look, and for those whose name is known, to say yes, no or undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from urllib.parse import quote

from workflow_service.domain.letters import Link
from workflow_service.domain.notices import QUESTIONS, Kind
from workflow_service.domain.states import Verb
from workflow_service.domain.tickets import Ticket, issue
from workflow_service.store.outbox import Letter

LASTS = timedelta(hours=24)  # from when its letter arrives at the latest


class Links:
    """Knows the outside address, the secret, and whose each channel is."""

    def __init__(self, base: str, *, secrets: Callable[[], Sequence[bytes]], identities: Mapping[str, str]) -> None:
        """`identities`: by channel who reads there; a channel that is not in it gets no link that acts."""
        self._base, self._secrets, self._identities = base.rstrip("/"), secrets, identities

    def of(self, letter: Letter) -> Sequence[Link]:
        """The links of one letter, the same in every try."""
        if letter.workflow_id is None:
            return ()
        about = f"{self._base}/api/v1/workflows/{quote(letter.workflow_id, safe='')}"
        who = self._identities.get(letter.channel)
        acting = [] if who is None else [self._acting(letter, verb, who, about) for verb in _verbs(letter)]
        return [*acting, Link("Details", about)]

    def _acting(self, letter: Letter, verb: Verb, who: str, about: str) -> Link:
        ticket = Ticket(
            workflow_id=letter.workflow_id or "",
            execution_id=letter.execution_id or "",
            verb=verb,
            step=letter.step if verb is not Verb.ROLLBACK else "",
            plan_hash=str(letter.document.get("plan_hash", "")),
            who=who,
            letter_id=letter.id,
            expires=int(((letter.give_up_at or letter.at) + LASTS).timestamp()),
        )
        return Link(_LABELS[verb], f"{about}/link?ticket={issue(ticket, self._secrets()[0])}")


_LABELS = {Verb.APPROVE: "Approve", Verb.REJECT: "Reject", Verb.ROLLBACK: "Undo"}


def _verbs(letter: Letter) -> Iterator[Verb]:
    if letter.kind in QUESTIONS:
        yield from (Verb.APPROVE, Verb.REJECT)
    if letter.kind == Kind.ENDED and letter.document.get("undo_possible"):
        yield Verb.ROLLBACK
