"""Rights, reach, and the table of routes."""

from __future__ import annotations

import pytest

from workflow_service.domain.permissions import (
    VERBS,
    About,
    Caller,
    Grant,
    Need,
    Right,
    methods_of,
    need_of,
    plain,
)
from workflow_service.domain.states import Verb

V, OP, P, A = Right.VIEWER, Right.OPERATOR, Right.APPROVER, Right.ADMIN


@pytest.mark.parametrize(
    ("granted", "has"),
    [(V, {V}), (OP, {V, OP}), (P, {V, P}), (A, {V, OP, P, A})],
)
def test_what_rights_imply(granted: Right, has: set[Right]) -> None:
    """Operators and approvers both see; neither is the other; an admin is everything."""
    caller = Caller("key:x", (Grant(granted),))
    assert {right for right in Right if caller.reach(right) is None} == has
    assert all(caller.reach(right) == frozenset() for right in set(Right) - has)


def test_grants_do_not_lend_each_other_their_namespaces() -> None:
    """Who sees everything and operates one namespace does not operate everything."""
    caller = Caller("oidc:ana", (Grant(V), Grant(OP, frozenset({"shop"})), Grant(OP, frozenset({"pay"}))))
    assert caller.reach(V) is None
    assert caller.reach(OP) == frozenset({"shop", "pay"})
    assert caller.reach(P) == frozenset()


def test_every_verb_needs_a_right() -> None:
    """No verb is forgotten, and answering a question is never an operator's."""
    assert set(VERBS) == set(Verb)
    assert {verb for verb, right in VERBS.items() if right is P} == {Verb.APPROVE, Verb.REJECT, Verb.EXTEND}


@pytest.mark.parametrize(
    ("method", "path", "need", "values"),
    [
        ("GET", "/livez", Need(None, About.NOTHING), {}),
        ("POST", "/api/v1/execute", Need(OP, About.INTAKE), {}),
        ("GET", "/api/v1/workflows/w-1", Need(V, About.WORKFLOW), {"workflow_id": "w-1"}),
        ("POST", "/api/v1/workflows/w-1/approve", Need(P, About.WORKFLOW), {"workflow_id": "w-1"}),
        ("POST", "/api/v1/workflows/w-1/pause", Need(OP, About.WORKFLOW), {"workflow_id": "w-1"}),
        ("POST", "/api/v1/workflows/w-1/dance", Need(OP, About.WORKFLOW), {"workflow_id": "w-1", "verb": "dance"}),
        ("GET", "/api/v1/workflows/w-1/commands", Need(V, About.WORKFLOW), {"workflow_id": "w-1"}),
    ],
)
def test_what_a_request_needs(method: str, path: str, need: Need, values: dict[str, str]) -> None:
    """A request finds its route as the router does: whole names before placeholders."""
    found = need_of(method, path)
    assert found is not None
    assert found[0] == need
    assert found[1].values == values


@pytest.mark.parametrize("path", ["/", "/api/v1/workflows/", "/api/v1/workflows//pause", "/livez/", "/api/v1/nothing"])
def test_no_such_route(path: str) -> None:
    """What is not in the table is not found, empty segments included."""
    assert need_of("GET", path) is None
    assert need_of("POST", path) is None
    assert methods_of(path) == ()


def test_methods_of_a_path() -> None:
    """The methods that a path knows are told, as `Allow` wants them."""
    assert methods_of("/api/v1/workflows") == ("GET", "POST")
    assert methods_of("/api/v1/workflows/w/approve") == ("POST",)
    assert methods_of("/api/v1/workflows/w/commands") == ("GET",)
    assert need_of("DELETE", "/api/v1/workflows") is None


@pytest.mark.parametrize(
    ("name", "shown"), [("key:a b", "key:a b"), ("oidc:Jörg\n", "oidc:J\\xf6rg\\n"), ("x" * 999, "x" * 200)]
)
def test_names_can_be_written_anywhere(name: str, shown: str) -> None:
    """A name that comes from outside can break neither a header nor a line."""
    assert plain(name) == shown
