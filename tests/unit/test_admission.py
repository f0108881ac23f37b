"""What becomes of an alert, rule by rule, and what each rule says that it saw."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import at
from workflow_service.domain.admission import Choice, choose, cool_until
from workflow_service.domain.admission_facts import About, Ended, Known, Limits, Quiet, Running, about, owner_by_name
from workflow_service.domain.alert import Alert
from workflow_service.domain.clusters import Clusters
from workflow_service.domain.target import Target

pytestmark = [pytest.mark.requirement("BR-WF-001")]

LIMITS = Limits()
OWN = "alert:production/f1"
WEB = "target:default/production/deployment/web"
ALERT = Alert("HighCPU", severity="critical", namespace="production", resource="deployment/web", starts_at=at(0))


def decided(
    known: Known, *, alert: Alert = ALERT, limits: Limits = LIMITS, after: float = 100, known_as: str = "f1"
) -> Choice:
    """What becomes of an alert."""
    return choose(alert, about(alert, known_as, limits), known, limits, at(after))


def outcome(known: Known, *, alert: Alert = ALERT, limits: Limits = LIMITS, after: float = 100) -> tuple[str, object]:
    """Outcome and workflow."""
    found = decided(known, alert=alert, limits=limits, after=after)
    return found.outcome, found.workflow_id


def firing(**values: object) -> Alert:
    """The same alert with other values."""
    return Alert(**{"name": "HighCPU", "namespace": "production", "resource": "deployment/web", **values})  # type: ignore[arg-type]


def test_nothing_stands_in_its_way() -> None:
    """Every rule was asked, in order, and says what it saw."""
    found = decided(Known())
    assert (found.outcome, found.workflow_id, found.reconsider_at) == ("admitted", None, None)
    asked = [one["rule"] for one in found.trace]
    rules = ["watchdog", "cluster", "silence", "duplicate", "resolved", "no_action", "cooldown", "storm", "budget"]
    assert asked == [*rules, "admission"]
    assert all(one["saw"] for one in found.trace)
    assert [one["decided"] for one in found.trace] == ["goes on"] * len(rules) + ["admitted"]


@pytest.mark.parametrize("name", [OWN, WEB])
def test_any_identity_attaches(name: str) -> None:
    """The alert again, or another one about the same target: it belongs to what runs."""
    known = Known({name: Running("w-1")})
    assert outcome(known) == ("attached", "w-1")
    assert outcome(known, alert=firing(status="resolved")) == ("attached", "w-1")


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        ("web-7d9f8b6c5d-x2x4z", "deployment/web"),
        ("web-api-6b8c9f7d5-zk8wl", "deployment/web-api"),
        ("db-0", "statefulset/db"),
        ("my-db-12", "statefulset/my-db"),
        ("worker-x2x4z", None),
        ("web-7d9f8b6c5a-x2x4z", None),
        ("lonely", None),
    ],
)
def test_a_pods_name_tells_its_owner(pod: str, owner: str | None) -> None:
    """As Kubernetes names them: no vowels in what it makes up, so that a person's words are not taken for it."""
    found = owner_by_name(Target("default", "Pod", pod, "production"))
    assert (found and found.identity) == (owner and f"target:default/production/{owner}")
    assert owner_by_name(Target("default", "Deployment", pod, "production")) is None


def test_a_pods_alert_meets_its_deployments_workflow() -> None:
    """Both are about what the Deployment decides."""
    alert = firing(resource="pod/web-7d9f8b6c5d-x2x4z")
    assert outcome(Known({WEB: Running("w-1")}), alert=alert) == ("attached", "w-1")
    assert about(alert, "f1", LIMITS).target == "target:default/production/pod/web-7d9f8b6c5d-x2x4z"


def test_what_we_may_have_caused_speaks_against_us() -> None:
    """An alert that is new and began after the workflow had begun to act belongs to it, as evidence."""
    acting = Known({WEB: Running("w-1", began_at=at(50))})
    assert outcome(acting, alert=firing(starts_at=at(60))) == ("caused", "w-1")
    assert outcome(acting, alert=firing(starts_at=at(40))) == ("attached", "w-1")
    assert outcome(acting, alert=firing(starts_at=None)) == ("attached", "w-1")
    assert outcome(acting, alert=firing(starts_at=at(60), status="resolved")) == ("attached", "w-1")
    known = Known({WEB: Running("w-1", began_at=at(50)), OWN: Running("w-1", began_at=at(50))})
    assert outcome(known, alert=firing(starts_at=at(60))) == ("attached", "w-1")
    waiting = Known({WEB: Running("w-1")})
    assert outcome(waiting, alert=firing(starts_at=at(60))) == ("attached", "w-1")


def test_resolved_and_nothing_runs() -> None:
    """There is nothing to do, whatever has ended before."""
    known = Known(ended={WEB: (Ended("w-1", "completed", at(99)),)})
    assert outcome(known, alert=firing(status="resolved")) == ("resolved", None)


def test_the_pause_grows_with_every_end_that_helped_nobody() -> None:
    """One minute, two, four, an hour at most; a success in between begins it anew."""
    for number, minutes in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60)):
        ends = [Ended(f"w-{nth}", "failed", at(-nth)) for nth in range(number)]
        assert cool_until(ends, LIMITS)[0] == at(0) + timedelta(minutes=minutes), number
    mixed = [Ended("w-3", "failed", at(0)), Ended("w-2", "completed", at(-9)), Ended("w-1", "failed", at(-99))]
    assert cool_until(mixed, LIMITS)[0] == at(60)
    assert cool_until(mixed[1:], LIMITS)[0] == at(-9) + LIMITS.cooldown
    resolved = [Ended("w-4", "resolved", at(0)), *mixed]
    assert cool_until(resolved, LIMITS)[0] == at(0)


def test_cooling_down_says_until_when() -> None:
    """The longest pause of all identities counts; afterwards the alert is admitted."""
    known = Known(ended={WEB: (Ended("w-1", "completed", at(0)),), OWN: (Ended("w-2", "failed", at(90)),)})
    found = decided(known)
    assert (found.outcome, found.workflow_id, found.reconsider_at) == ("cooled_down", "w-1", at(300))
    assert "less than 300 s ago" in found.reason
    assert outcome(known, after=301) == ("admitted", None)


def test_a_silence_comes_first() -> None:
    """It holds back what fires; what has resolved is heard of all the same."""
    quiet = Quiet("s-1", "maintenance", at(500))
    known = Known({WEB: Running("w-1")}, quiet=lambda _alert: quiet)
    found = decided(known)
    assert (found.outcome, found.workflow_id, found.reconsider_at) == ("silenced", None, at(500))
    assert [one["rule"] for one in found.trace] == ["watchdog", "cluster", "silence"]
    assert outcome(known, alert=firing(status="resolved")) == ("attached", "w-1")


def test_one_stands_for_a_storm() -> None:
    """Up to the threshold each is admitted; the next one stands for the rest, which belong to it."""
    limits = Limits(storm_in_namespace=3)
    known = Known()
    found = []
    for number in range(6):
        alert = firing(resource=f"deployment/web-{number}")
        choice = choose(alert, about(alert, f"g{number}", limits), known, limits, at(0))
        if choice.outcome == "admitted":
            known.begins(choice.about, f"w-{number}")
        found.append((choice.outcome, choice.workflow_id))
    assert found == [("admitted", None)] * 4 + [("grouped", "w-3")] * 2
    assert "storm:default/production" in known.active
    elsewhere = firing(namespace="staging")
    assert outcome(known, alert=elsewhere, limits=limits) == ("admitted", None)
    wide = Limits(storm_in_cluster=4)
    assert outcome(known, alert=elsewhere, limits=wide)[0] == "admitted"
    assert about(elsewhere, "f1", wide).places == ("default/staging", "default")


def test_labels_make_one_incident_of_many() -> None:
    """Alerts that agree in all of them are about the same; one that lacks a label is not."""
    limits = Limits(group_by=("service", "zone"))
    one = about(firing(labels={"service": "shop", "zone": "a"}), "f1", limits)
    other = about(firing(resource="deployment/cart", labels={"service": "shop", "zone": "a"}), "f2", limits)
    lacking = about(firing(resource="deployment/cart", labels={"service": "shop"}), "f3", limits)
    assert set(one.names) & set(other.names) == {"group:service=shop,zone=a"}
    assert not set(one.names) & set(lacking.names)


@given(
    st.lists(st.tuples(st.sampled_from(["completed", "failed", "cancelled", "resolved"]), st.integers(0, 9000))),
    st.sampled_from(["firing", "resolved"]),
    st.booleans(),
)
def test_there_is_always_one_outcome_and_a_reason(ends: list[tuple[str, int]], status: str, runs: bool) -> None:
    """Whatever is known: what is not admitted says why, and what stands back says until when."""
    newest = sorted((Ended(f"w-{nth}", how, at(-ago)) for nth, (how, ago) in enumerate(ends)), key=lambda one: one.at)
    known = Known({WEB: Running("w")} if runs else {}, {WEB: newest[::-1]} if newest else {})
    found = decided(known, alert=firing(status=status))
    assert (found.outcome == "admitted") == (not found.reason)
    assert (found.outcome == "cooled_down") == (found.reconsider_at is not None)
    assert found.reconsider_at is None or found.reconsider_at > at(100)
    assert isinstance(found.about, About)
    assert found.trace[-1]["decided"] == found.outcome


def test_an_alert_is_of_the_cluster_that_it_names() -> None:
    """Whatever is the same but for the cluster is something else; whom nobody knows is never taken for our own."""
    limits = Limits(clusters=Clusters("home", frozenset({"eu"}), "k8s_cluster"), group_by=("team",))
    labels = {"team": "shop", "cluster": "is another label"}
    here = about(firing(labels=labels), "f1", limits)
    there = about(firing(labels={**labels, "k8s_cluster": "eu"}), "f1", limits)
    assert not {*here.names} & {*there.names}
    assert (here.target, here.places) == ("target:home/production/deployment/web", ("home/production", "home"))
    assert (there.target, there.places) == ("target:eu/production/deployment/web", ("eu/production", "eu"))
    assert decided(Known(), alert=firing(labels={"k8s_cluster": "eu"}), limits=limits).outcome == "admitted"
    for status in ("firing", "resolved"):
        lost = decided(Known(), alert=firing(labels={"k8s_cluster": "mars"}, status=status), limits=limits)
        assert (lost.outcome, lost.workflow_id, lost.reconsider_at) == ("refused", None, None)
        assert lost.reason == "unknown_cluster: label k8s_cluster='mars' must be one of home, eu"


def test_what_is_beyond_a_budget_waits_for_its_turn() -> None:
    """The rule names place, number and limit; the turn comes when the first that was admitted is an hour old."""
    limits = Limits(budget_in_namespace=3, budget_in_cluster=4)
    known = Known(spent={"default/production": 2, "default": 2}, oldest={"default/production": at(0), "default": at(9)})
    first = decided(known, limits=limits)
    assert (first.outcome, first.trace[-2]["rule"]) == ("admitted", "budget")
    assert "2 of 3 workflows have begun in default/production within 1 h; 2 of 4" in first.trace[-2]["saw"]
    known.begins(first.about, "w-1")
    api = firing(resource="deployment/api")
    held = decided(known, alert=api, limits=limits, known_as="f2")
    assert (held.outcome, held.workflow_id, held.reconsider_at) == ("over_budget", None, at(3600))
    assert held.reason.startswith("3 of 3 workflows have begun in default/production within 1 h; again from ")
    staging = firing(namespace="staging")
    last = decided(known, alert=staging, limits=limits, known_as="f3")
    assert last.outcome == "admitted"
    known.begins(last.about, "w-2")
    elsewhere = decided(known, alert=firing(namespace="shop"), limits=limits, known_as="f4")
    assert (elsewhere.outcome, elsewhere.reconsider_at) == ("over_budget", at(3609))
    assert "4 of 4 workflows have begun in default within" in elsewhere.reason
    assert decided(known, alert=staging, limits=limits, known_as="f3").outcome == "attached"
    assert decided(known, alert=api, known_as="f2").outcome == "admitted"


def test_a_turn_is_never_at_once() -> None:
    """What is beyond a budget whose oldest workflow leaves in this moment waits a little, so that nobody spins."""
    known = Known(spent={"default": 9}, oldest={"default": at(-3590)})
    assert decided(known, limits=Limits(budget_in_cluster=1), after=0).reconsider_at == at(60)


def test_that_nothing_is_to_be_done_is_remembered() -> None:
    """The same alert is not planned again, until it begins anew, its severity differs, or the word is too old."""
    nothing = Ended("w-1", "failed", at(0), "no_action_needed", starts_at=at(0), severity="critical")
    known = Known(ended={WEB: (nothing,)})
    found = decided(known, after=1)
    assert (found.outcome, found.workflow_id, found.reconsider_at) == ("not_needed", "w-1", at(6 * 3600))
    assert found.trace[-1]["rule"] == "no_action"
    for other in (firing(severity="critical", starts_at=at(1)), firing(severity="warning", starts_at=at(0))):
        assert decided(known, alert=other, after=1).outcome == "admitted"
    assert decided(known, after=6 * 3600).outcome == "admitted"
    assert decided(known, limits=Limits(no_action_memory=timedelta()), after=1).outcome == "admitted"
    tried = Known(ended={WEB: (Ended("w-2", "failed", at(9)), nothing)})
    assert decided(tried, after=10).outcome == "cooled_down"
    assert cool_until([nothing, Ended("w-0", "failed", at(-9))], LIMITS)[0] == at(0)


def test_what_begins_after_the_end_of_a_workflow_speaks_against_it() -> None:
    """A new alert about its target, while the same thing rests: it is noted, waits, and is decided again."""
    end = Ended("w-1", "completed", at(50), began_at=at(10))
    known = Known(ended={WEB: (end,)})
    found = decided(known, alert=firing(starts_at=at(20)))
    assert (found.outcome, found.workflow_id, found.reconsider_at) == ("caused", "w-1", at(350))
    assert found.trace[-1]["rule"] == "cooldown"
    assert outcome(known, alert=firing(starts_at=at(9))) == ("cooled_down", "w-1")
    assert outcome(known, alert=firing()) == ("cooled_down", "w-1")
    repeat = Known(ended={WEB: (end,), OWN: (end,)})
    assert outcome(repeat, alert=firing(starts_at=at(20))) == ("cooled_down", "w-1")
    grouped = Known(ended={"group:team=a": (end,)})
    limits = Limits(group_by=("team",))
    alert = firing(starts_at=at(20), resource="deployment/api", labels={"team": "a"})
    assert outcome(grouped, alert=alert, limits=limits) == ("cooled_down", "w-1")


def test_what_shares_only_a_group_speaks_against_nobody() -> None:
    """An incident has many alerts; only one about the very target says that acting on it did harm."""
    limits = Limits(group_by=("team",))
    alert = firing(starts_at=at(20), resource="deployment/api", labels={"team": "a"})
    assert outcome(Known({"group:team=a": Running("w-1", at(10))}), alert=alert, limits=limits) == ("attached", "w-1")
    assert outcome(Known({WEB: Running("w-1", at(10))}), alert=firing(starts_at=at(20))) == ("caused", "w-1")
