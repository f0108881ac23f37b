"""Tickets of links prove what they say, until they expire, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_service.domain.tickets import BadTicket, Ticket, issue, name_of, read

pytestmark = pytest.mark.requirement("BR-WF-005")
SECRET, OTHER = b"a" * 24, b"b" * 24
TICKET = Ticket("w", "e", "approve", "ask", "hash", "key:ana", "letter", 1000)


def test_a_ticket_says_what_it_was_issued_for() -> None:
    """With either of two secrets; until its last second."""
    text = issue(TICKET, SECRET)
    assert read(text, [OTHER, SECRET], now=999.9) == TICKET
    assert name_of(text) != name_of(issue(TICKET, OTHER))


@pytest.mark.parametrize(("secrets", "now"), [([OTHER], 0.0), ([], 0.0), ([SECRET], 1000.0)])
def test_without_its_secret_or_too_late_it_is_nothing(secrets: list[bytes], now: float) -> None:
    """Another secret, none at all, and the end of its time."""
    with pytest.raises(BadTicket):
        read(issue(TICKET, SECRET), secrets, now=now)


@given(place=st.integers(0, 400), sign=st.characters())
def test_a_changed_ticket_is_nothing(place: int, sign: str) -> None:
    """Whatever one character becomes, the content or the proof does not fit any more."""
    text = issue(TICKET, SECRET)
    at = place % len(text)
    changed = f"{text[:at]}{sign}{text[at + 1 :]}"
    if changed != text:
        with pytest.raises(BadTicket):
            read(changed, [SECRET], now=0.0)


@pytest.mark.parametrize("last", [*"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"])
def test_a_ticket_has_one_text(last: str) -> None:
    """It counts once by its text: neither another last character with the same bits nor padding is the same ticket."""
    text = issue(TICKET, SECRET)
    others = {f"{text[:-1]}{last}", f"{text}=", f"{text}=="} - {text}
    for other in others:
        with pytest.raises(BadTicket):
            read(other, [SECRET], now=0.0)


@given(st.text(max_size=100))
def test_no_text_is_a_ticket_by_chance(text: str) -> None:
    """And none makes trouble."""
    with pytest.raises(BadTicket):
        read(text, [SECRET], now=0.0)
