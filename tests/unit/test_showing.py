"""How answers are shown to people: what is too long for a line, and a workflow as a tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from workflow_service.cli.showing import shortened
from workflow_service.cli.tree import tree

MESSAGE = (
    "the executor answered 403: the rules of the namespace production refuse this request, "
    "since nobody has said that web-server may be restarted"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("as long as may be", "as long as may be"),
        ("longer than it may be", "longer than it…"),
        ("restarts the web-server", "restarts the…"),
        ("nothing-but-one-word-is-here", "nothing-but-one-…"),
        ("see nothing-but-one-word-is-here", "see nothing-but-…"),
        (" " * 40, "…"),
    ],
)
def test_a_long_text_is_cut_at_the_end_of_a_word(text: str, shown: str) -> None:
    """What fits stays as it is; else whole words are shown and an ellipsis, and part of a word that fits no line."""
    assert shortened(text, 17) == shown


@given(st.text(), st.integers(2, 120))
def test_no_text_is_longer_than_it_may_be(text: str, most: int) -> None:
    """Whatever others have written, it never becomes longer than it may be, and says so when something is missing."""
    shown = shortened(text, most)
    assert shown == text or (len(shown) <= most < len(text) and shown.endswith("…"))


def test_the_tree_shows_whole_words() -> None:
    """Messages of steps and of their attempts are cut at a word's end, with an ellipsis."""
    step = {"id": "restart", "type": "restart_pod", "kind": "action", "undo": None, "started_at": None, "attempts": 0}
    failed = {"kind": "AttemptFailed", "step": "restart", "error_class": "forbidden", "retry_at": None}
    detail = {
        "status": "failed",
        "alert_name": "Trouble",
        "severity": "warning",
        "ended_at": None,
        "result": {"execution_details": {"plan": None, "steps": [{**step, "status": "failed", "message": MESSAGE}]}},
        "events": [{**failed, "message": MESSAGE}],
    }
    console = Console(width=200)
    with console.capture() as shown:
        console.print(tree(detail))
    assert shown.get().count("refuse this request, since nobody has said…") == 2
