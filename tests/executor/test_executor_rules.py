"""The guards' rules as decisions: pure, at their edges."""

from dataclasses import replace

import pytest

from executor_service.contract import ErrorClass, ObjectRef
from executor_service.guards import rules
from executor_service.guards.places import Places
from executor_service.guards.rules import ClosedNamespaces, Earlier, Marks, Nodes, Outlook
from executor_service.policy import matches
from executor_service.settings import SettingsError, load

POLICY = load({}).policy
WEB = ObjectRef("Deployment", "production", "web-server")
SPACE = ObjectRef("Namespace", None, "production")


@pytest.mark.parametrize(
    ("desired", "available", "now", "share", "refused"),
    [
        (4, 2, 3, 0.5, False),
        (4, 1, 2, 0.5, True),
        (1, 0, 1, 0.5, False),
        (3, 0, 0, 0.5, False),
        (3, 2, 3, 0.0, True),
        (3, 3, 3, 0.0, False),
        (10, 4, 4, 0.5, True),
        (3, 0, 3, 1.0, False),
    ],
)
def test_unavailable_pods(desired: int, available: int, now: int, share: float, *, refused: bool) -> None:
    """The share counts after the write; one pod may always be away unless it is 0%; what serves nobody may go."""
    said = rules.unavailable_refusal(replace(POLICY, unavailable_share=share), Outlook(WEB, desired, available, now))
    assert (said is not None) == refused
    assert said is None or (said.rule, said.error_class) == ("unavailable_replicas", ErrorClass.THROTTLED)


@pytest.mark.parametrize(
    ("total", "out", "name", "refused"),
    [
        (3, set(), "a", False),
        (3, {"b"}, "a", True),
        (3, {"a"}, "a", False),
        (1, set(), "a", True),
        (4, {"b"}, "a", False),
    ],
)
def test_cordoned_nodes(total: int, out: set[str], name: str, *, refused: bool) -> None:
    """Half of the nodes at most, the target among them; never the only one."""
    assert (rules.cordoned_refusal(POLICY, name, Nodes(total, frozenset(out))) is not None) == refused


def test_a_target_rests_for_as_long_as_the_cool_down() -> None:
    """Not a moment longer."""
    policy = replace(POLICY, cooldown=60.0)
    said = rules.cooldown_refusal(policy, "restart_pod", WEB, Earlier(59.0, "w-1"))
    assert said is not None
    assert "w-1" in said.message
    assert rules.cooldown_refusal(policy, "restart_pod", WEB, Earlier(60.0, "w-1")) is None
    assert rules.cooldown_refusal(policy, "restart_pod", WEB, None) is None


def test_a_mark_anywhere_above_protects_and_wins_over_an_opt_in() -> None:
    """Object, owner or namespace; only the very words count."""
    allowed, closed = {rules.REMEDIATION: "allowed"}, {rules.PROTECTED: "true"}
    strict = replace(POLICY, require_opt_in=True)
    assert rules.marks_refusal(POLICY, Marks([(WEB, {}), (SPACE, {})])) is None
    assert rules.marks_refusal(POLICY, Marks([(WEB, {rules.PROTECTED: "false"})])) is None
    for policy in (POLICY, strict):
        said = rules.marks_refusal(policy, Marks([(WEB, allowed), (SPACE, closed)]))
        assert said is not None
        assert (said.rule, said.value) == ("opted_out", "Namespace production")
    assert rules.marks_refusal(strict, Marks([(WEB, {}), (SPACE, allowed)])) is None
    for annotations in ({}, {rules.REMEDIATION: "no"}):
        said = rules.marks_refusal(strict, Marks([(WEB, annotations), (SPACE, {})]))
        assert said is not None
        assert said.rule == "not_opted_in"


def test_namespaces_and_actions_by_glob() -> None:
    """Protected goes before allowed; an undo is never left out; a Node is in no namespace."""
    policy = replace(
        POLICY, allowed_namespaces=("prod*", "team-?"), allowed_actions=("scale_*",), own_namespace="prod-own"
    )
    closed = ClosedNamespaces(frozenset({"production"}), policy)
    found = {name: said.rule if (said := closed.refusal(name)) else None for name in ("production", "prod-own", "shop")}
    assert found == {
        "production": "namespace_protected", "prod-own": "own_namespace", "shop": "namespace_not_allowed",
    }  # fmt: skip
    assert [name in closed for name in ("team-a", "team-ab", "prod-2")] == [False, True, False]
    assert closed.refusal(None) is None
    assert rules.action_refusal(policy, "scale_deployment") is None
    assert rules.action_refusal(policy, "undo") is None
    assert rules.action_refusal(policy, "restart_pod") is not None
    assert not matches("Scale_deployment", ("scale_*",))


def test_places_are_held_once_and_given_back() -> None:
    """The same action keeps its place; a limit of 0 is none; what a restart restores may exceed the limit."""
    places = Places()
    assert places.enter("a", "x", limit=1)
    assert places.enter("a", "x", limit=1)
    assert not places.enter("b", "x", limit=1)
    assert places.enter("b", "y", limit=1)
    assert places.enter("c", "x", limit=0)
    places.restore("d", "x")
    places.leave("a")
    places.leave("c")
    assert not places.enter("e", "x", limit=1)
    places.leave("d")
    assert places.enter("e", "x", limit=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_CORDONED_NODES", "101%"),
        ("MAX_UNAVAILABLE_REPLICAS", "0.5"),
        ("MAX_CONCURRENT_PER_NAMESPACE", "-1"),
        ("ALLOWED_ACTIONS", "[a-z]"),
        ("NODE_POOL_LABELS", "not a label"),
        ("ACTION_COOLDOWN", "60"),
        ("REQUIRE_OPT_IN", "maybe"),
        ("AUDIT_RETENTION", "0s"),
    ],
)
def test_a_bad_limit_refuses_the_start(name: str, value: str) -> None:
    """No limit is guessed."""
    with pytest.raises(SettingsError, match=f"^{name}"):
        load({name: value})
