"""The plans that rules make: for every alert one plan, with at least one action and a stated reason."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.factories import a_target, action_of
from tests.unit.planning_cases import CATALOGUE, MINIMAL, POD, RULES, WEB, changing, offering, plan_for, seen, types
from tests.unit.test_alert import good_documents
from workflow_service.domain import graph
from workflow_service.domain.alert import alert_from_json
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.plan import OnFailure, Phase, StepKind
from workflow_service.domain.target import resolve
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.make_plan import make_plan
from workflow_service.planning.rule_file import load_rules
from workflow_service.ports import Observation

# --- the specification's alerts


def test_high_cpu_scales_the_owner_of_the_pod() -> None:
    """HighCPUUsage on pod/web-server-123: one more replica for the Deployment that owns it."""
    plan = plan_for(
        seen(a_target(kind="ReplicaSet", name="web-server-6d4f"), WEB, owner={"replicas": 3}),
        name="HighCPUUsage",
        severity="critical",
        resource="pod/web-server-123",
    )
    [scale] = changing(plan)
    assert action_of(scale).type == "scale_deployment"
    assert action_of(scale).target == WEB
    assert {
        "namespace": "production",
        "resource_name": "web-server",
        "replicas": 4,
    }.items() <= action_of(scale).parameters.items()
    assert (scale.critical, scale.on_failure, scale.reversible) == (True, OnFailure.ROLLBACK, True)


def test_high_cpu_restarts_the_pod_when_nobody_could_look() -> None:
    """Without an observation the number of replicas is not guessed."""
    plan = plan_for(name="HighCPUUsage", severity="critical", resource="pod/web-server-123")
    [restart] = changing(plan)
    assert action_of(restart).type == "restart_pod"
    assert action_of(restart).parameters["resource_type"] == "pod"
    assert action_of(restart).target == POD
    assert restart.reversible is False
    assert restart.irreversible_reason


def test_a_pod_that_is_gone_is_still_cured_through_its_owner() -> None:
    """The second of two equal alerts may name a pod that the first one's cure has replaced."""
    plan = plan_for(seen(WEB, found=False, replicas=4), name="HighCPUUsage", resource="pod/web-server-123")
    [scale] = changing(plan)
    assert action_of(scale).parameters["replicas"] == 5


def test_scaling_stops_at_its_bound() -> None:
    """At ten replicas nobody adds one more; the plan says why the rule was passed over."""
    plan = plan_for(seen(replicas=10), name="HighCPUUsage", severity="critical", resource="deployment/web-server")
    assert not changing(plan)
    assert "notify_oncall" in types(plan)
    assert {"rule": "cpu_of_a_deployment", "why_not": "scale: replicas is 10, at or beyond its bound"} in plan.metadata[
        "considered"
    ]


def test_what_is_switched_off_stays_off() -> None:
    """A Deployment scaled to zero on purpose is not started by an old alert."""
    assert not changing(plan_for(seen(replicas=0), name="HighCPUUsage", resource="deployment/web-server"))


def test_a_memory_leak_restarts_the_deployment() -> None:
    """MemoryLeak on deployment/api-server: a rolling restart."""
    plan = plan_for(
        seen(replicas=2), name="MemoryLeak", severity="warning", namespace="staging", resource="deployment/api-server"
    )
    [restart] = changing(plan)
    assert action_of(restart).type == "restart_pod"
    assert action_of(restart).parameters["resource_type"] == "deployment"
    assert (action_of(restart).parameters["namespace"], action_of(restart).parameters["resource_name"]) == (
        "staging",
        "api-server",
    )


def test_a_full_disk_without_a_target_tells_on_call() -> None:
    """DiskSpaceHigh names nothing to act on: on-call is told, and the plan says why nothing else happens."""
    plan = plan_for(name="DiskSpaceHigh", severity="critical")
    assert types(plan) == ["collect_diagnostics", "notify_oncall"]
    assert "no label, annotation or resource" in plan.reason
    assert "no label, annotation or resource" in plan.steps[-1].description
    assert not changing(plan)


# --- other families


@pytest.mark.requirement("BR-WF-018")
def test_a_crash_has_an_alternative() -> None:
    """When a restart does not help, the previous revision takes over; diagnostics run beside it, then people hear."""
    plan = plan_for(seen(crash_looping=2, replicas=3), name="KubePodCrashLooping", labels={"deployment": "web-server"})
    steps = {step.id: step for step in plan.steps}
    assert (steps["restart"].on_failure, steps["restart"].alternative) == (OnFailure.ALTERNATIVE, "previous_revision")
    assert action_of(steps["previous_revision"]).type == "rollback_deployment"
    assert (steps["diagnose"].needs, steps["diagnose"].critical, steps["diagnose"].on_failure) == (
        (),
        False,
        OnFailure.SKIP,
    )
    assert (steps["tell"].needs, steps["tell"].critical) == (("restart",), False)


@pytest.mark.parametrize("owner_kind", ["StatefulSet", "Job", "Rollout"])
def test_only_what_is_known_to_be_safe_is_restarted(owner_kind: str) -> None:
    """A pod of a StatefulSet, or of something no rule knows, is looked at, and people are told."""
    owner = a_target(kind=owner_kind, name="postgres")
    for name in ("KubePodCrashLooping", "MemoryLeak", "HighCPUUsage", "Odd"):
        plan = plan_for(seen(owner), name=name, severity="critical", resource="pod/postgres-0")
        assert (changing(plan), types(plan)) == ([], ["collect_diagnostics", "notify_oncall"])


def test_a_pod_that_nothing_would_bring_back_is_not_restarted() -> None:
    """A bare pod is gone for good once it is deleted."""
    assert not changing(plan_for(seen(phase="Running"), name="PodCrash", severity="critical", resource="pod/alone"))


def test_a_node_is_cordoned_and_never_drained() -> None:
    """KubeNodeNotReady: no new work for the node, on-call told, nothing evicted."""
    plan = plan_for(seen(ready=False), name="KubeNodeNotReady", severity="warning", labels={"node": "node-1"})
    assert types(plan) == ["cordon_node", "notify_oncall"]
    assert action_of(plan.steps[0]).parameters["node_name"] == "node-1"
    assert plan.steps[0].reversible is True


@pytest.mark.requirement("BR-WF-002")
def test_draining_needs_a_person() -> None:
    """A node that is sick but answers is cordoned and on-call told; only a word given within the hour drains it."""
    plan = plan_for(seen(ready=True), name="NodeKernelDeadlock", severity="critical", labels={"node": "node-1"})
    assert [step.id for step in plan.steps] == ["cordon", "tell", "approve_drain", "drain", "tell_end"]
    ask, drain, last = plan.steps[2:]
    assert (last.phase, action_of(last).type) == (Phase.FINALLY, "notify_oncall")
    assert (ask.kind, ask.needs, ask.deadline, ask.on_failure) == (
        StepKind.APPROVAL,
        ("cordon", "tell"),
        3600.0,
        OnFailure.STOP,
    )
    assert (drain.needs[-1], action_of(drain).type) == ("approve_drain", "drain_node")
    drains = [action for rule in RULES.rules for action in rule.actions if action.type == "drain_node"]
    assert all(action.approval is not None for action in drains)


@pytest.mark.requirement("BR-WF-016", "BR-WF-050")
def test_cures_are_proved_by_what_is_seen_afterwards() -> None:
    """A scaled or restarted Deployment is looked at again; rules that prove something have seen it before they act."""
    plan = plan_for(seen(replicas=3), name="HighCPUUsage", resource="deployment/web-server")
    [proof] = changing(plan)[0].postconditions
    assert (proof.expression, proof.within) == ("observed.ready_replicas >= observed.replicas", 30.0)
    crash = plan_for(seen(replicas=3, crash_looping=1), name="PodCrash", resource="deployment/web-server")
    restart, back = changing(crash)
    assert restart.settle == 10.0
    assert restart.postconditions == back.postconditions != ()
    assert not changing(plan_for(name="PodCrash", severity="warning", resource="deployment/web-server"))


def test_what_does_not_exist_is_not_acted_on() -> None:
    """A Deployment that an app label made us guess, and that the executor cannot find, becomes a notification."""
    plan = plan_for(seen(found=False), name="HighCPUUsage", severity="warning", labels={"app": "web"})
    assert not changing(plan)
    assert "does not exist" in plan.reason


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        ("critical", ["collect_diagnostics", "restart_pod", "notify_oncall"]),
        ("high", ["collect_diagnostics", "scale_deployment", "notify_team"]),
        ("error", ["collect_diagnostics", "scale_deployment", "notify_team"]),
        ("medium", ["collect_diagnostics", "notify_team"]),
        ("warning", ["collect_diagnostics", "notify_team"]),
        ("low", ["log_incident"]),
        ("info", ["log_incident"]),
        ("none", ["log_incident"]),
        ("unknown", ["collect_diagnostics", "notify_team"]),
        ("odd", ["notify_team"]),
    ],
)
def test_severity_decides_last(severity: str, expected: list[str]) -> None:
    """An alert of no known sort is answered by how bad it is."""
    observation = seen(WEB, owner={"replicas": 2})
    assert types(plan_for(observation, name="Odd", severity=severity, resource="pod/web-server-123")) == expected


def test_the_name_counts_more_than_the_text() -> None:
    """The name is asked first, whatever the order of the rules; texts only where the name says nothing."""
    text = {"description": "cpu and memory are fine, dns is slow"}
    assert (
        plan_for(seen(replicas=2), name="MemoryLeak", resource="deployment/web", **text).rule
        == "memory_of_a_deployment"
    )
    crash = {"description": "the pods keep crashing"}
    assert (
        plan_for(seen(replicas=2), name="ReplicasMismatch", resource="deployment/web", **crash).rule
        == "crash_of_a_deployment"
    )


def test_common_words_in_texts_move_nothing() -> None:
    """`service` in a description is no reason to scale anything."""
    text = {"description": "the certificate of service web expires"}
    plan = plan_for(seen(replicas=2), name="CertificateExpiry", severity="warning", resource="deployment/web", **text)
    assert not changing(plan)


_FACTS = st.dictionaries(
    st.sampled_from(["replicas", "crash_looping", "node", "ready", "owner"]),
    st.integers(-1, 12)
    | st.booleans()
    | st.text(max_size=3)
    | st.dictionaries(st.just("replicas"), st.integers(0, 11)),
)
_OWNERS = st.lists(
    st.sampled_from(["Deployment", "StatefulSet", "Job", "ReplicaSet"]).map(lambda kind: a_target(kind=kind)),
    max_size=2,
)
_OBSERVATIONS = st.none() | st.builds(
    Observation,
    found=st.booleans(),
    facts=_FACTS,
    owners=_OWNERS.map(tuple),
    observed_at=st.just(datetime(2026, 1, 1, tzinfo=UTC)),
)
_NAMES = st.sampled_from(
    ["HighCPUUsage", "MemoryLeak", "KubePodCrashLooping", "KubeNodeNotReady", "DiskFull", "ServiceSlow", "Odd"]
)
_RESOURCES = st.sampled_from([None, "pod/web-1", "deployment/web", "sts/db", "node/node-1", "odd", "pod/" + "x" * 300])
_CATALOGUES = st.none() | st.builds(
    lambda without: offering(*without), st.sets(st.sampled_from(sorted(CATALOGUE.actions)))
)
_LIMITS = st.builds(
    PlanLimits,
    parallel_enabled=st.booleans(),
    rollback_enabled=st.booleans(),
    workflow_timeout=st.sampled_from([None, 600.0]),
)


@given(good_documents, st.none() | _NAMES, _RESOURCES, _OBSERVATIONS, _CATALOGUES, _LIMITS)
def test_every_alert_gets_a_sound_plan(
    document: dict[str, Any],
    name: str | None,
    resource: str | None,
    observation: Observation | None,
    catalogue: Catalogue | None,
    limits: PlanLimits,
) -> None:
    """Whatever alert, cluster and executor are like: at least one action, a reason, a sound graph, and repeatable."""
    alert = alert_from_json(
        {**document, **({"name": name} if name else {}), **({"resource": resource} if resource else {})}
    )
    arguments: dict[str, Any] = {"observation": observation, "catalogue": catalogue, "rules": RULES, "limits": limits}
    plan = make_plan(alert, resolve(alert, "default"), **arguments)
    graph.validate(plan)
    assert plan.steps
    assert plan.reason
    assert plan == make_plan(alert, resolve(alert, "default"), **arguments)
    if catalogue and catalogue.actions and plan.rule != "last_resort":
        for step in plan.steps:
            assert not catalogue.actions[action_of(step).type].violations(action_of(step).parameters, at=step.id)


def test_rules_can_tell_a_bare_pod_from_one_nobody_could_look_at() -> None:
    """`owners: [none]` and `owners: [unknown]` are different answers."""
    text = MINIMAL + "  when: {owners: [none]}\n"
    assert plan_for(seen(phase="Running"), resource="pod/alone", rules=load_rules(text)).rule == "one"
    assert plan_for(resource="pod/alone", rules=load_rules(text)).rule == "last_resort"
    assert plan_for(resource="pod/alone", rules=load_rules(text.replace("none", "unknown"))).rule == "one"
