"""The runbooks that come with the service: each is sound, proven by its own tests, and refused when it is broken."""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs import generate_runbooks

from tests.unit.planning_cases import LIMITS, RULES
from workflow_service.domain.alert import Alert
from workflow_service.domain.plan import Plan
from workflow_service.domain.target import resolve
from workflow_service.planning import library, template_file
from workflow_service.planning.library import FIXTURES, Library
from workflow_service.planning.linting import check
from workflow_service.planning.make_plan import make_plan
from workflow_service.planning.matching import speaking
from workflow_service.planning.templates import Template
from workflow_service.rehearsal.cases import Case, cases
from workflow_service.rehearsal.judging import judge

pytestmark = pytest.mark.requirement("BR-WF-001", "BR-WF-003")

FOLDER = Path(str(resources.files("workflow_service.planning").joinpath("shipped")))
FILES = dict(library.shipped())
KNOWN = library.known_actions()
TESTED = [one for path in sorted(FOLDER.glob(f"*{FIXTURES}")) for one in cases(path.name, path.read_text("utf-8"))]
# Those of a stock kube-prometheus (its mixins for Kubernetes, nodes and etcd).
STOCK = re.findall(
    r"\S+",
    """
KubePodCrashLooping KubePodNotReady KubeDeploymentGenerationMismatch KubeDeploymentReplicasMismatch
KubeDeploymentRolloutStuck KubeStatefulSetReplicasMismatch KubeStatefulSetGenerationMismatch
KubeStatefulSetUpdateNotRolledOut KubeDaemonSetRolloutStuck KubeContainerWaiting KubeDaemonSetNotScheduled
KubeDaemonSetMisScheduled KubeJobNotCompleted KubeJobFailed KubeHpaReplicasMismatch KubeHpaMaxedOut
KubePdbNotEnoughHealthyPods KubeCPUOvercommit KubeMemoryOvercommit KubeCPUQuotaOvercommit KubeMemoryQuotaOvercommit
KubeQuotaAlmostFull KubeQuotaFullyUsed KubeQuotaExceeded CPUThrottlingHigh KubePersistentVolumeFillingUp
KubePersistentVolumeInodesFillingUp KubePersistentVolumeErrors KubeVersionMismatch KubeClientErrors
KubeAPIErrorBudgetBurn KubeClientCertificateExpiration KubeAggregatedAPIErrors KubeAggregatedAPIDown KubeAPIDown
KubeAPITerminatedRequests KubeNodeNotReady KubeNodePressure KubeNodeUnreachable KubeletTooManyPods
KubeNodeReadinessFlapping KubeNodeEviction KubeletPlegDurationHigh KubeletPodStartUpLatencyHigh
KubeletClientCertificateExpiration KubeletServerCertificateExpiration KubeletClientCertificateRenewalErrors
KubeletServerCertificateRenewalErrors KubeletDown KubeSchedulerDown KubeControllerManagerDown KubeProxyDown
NodeFilesystemSpaceFillingUp NodeFilesystemAlmostOutOfSpace NodeFilesystemFilesFillingUp
NodeFilesystemAlmostOutOfFiles NodeNetworkReceiveErrs NodeNetworkTransmitErrs NodeHighNumberConntrackEntriesUsed
NodeTextFileCollectorScrapeError NodeClockSkewDetected NodeClockNotSynchronising NodeRAIDDegraded NodeRAIDDiskFailure
NodeFileDescriptorLimit NodeCPUHighUsage NodeSystemSaturation NodeMemoryMajorPagesFaults NodeMemoryHighUtilization
NodeDiskIOSaturation NodeSystemdServiceFailed NodeSystemdServiceCrashlooping NodeBondingDegraded
NodeNetworkInterfaceFlapping etcdMembersDown etcdInsufficientMembers etcdNoLeader etcdHighNumberOfLeaderChanges
etcdDatabaseQuotaLowSpace etcdExcessiveDatabaseGrowth etcdHighFsyncDurations
""",
)
SCENARIOS = ("high-memory", "crash-loop", "node-issue", "storage-issue", "network-issue", "generic")

Document = dict[str, Any]
Broken = tuple[str, str] | None  # the field that the flaw names and what its line says; None: it cannot be broken so


@cache
def shipped() -> Library:
    """All of them, read once."""
    return library.assemble(library.read(FILES.items()), KNOWN)


def template_of(file: str) -> Template:
    """The template of a file."""
    return next(one for one in shipped().templates.values() if one.body == FILES[file])


def planned(alert: Alert) -> Plan:
    """The plan for an alert with all of them and the shipped rules, when nobody could look."""
    rules = replace(RULES, templates=shipped().matching())
    target = resolve(alert, "default")
    return make_plan(alert, target, observation=None, catalogue=KNOWN, rules=rules, limits=LIMITS)


def parents_of(file: str) -> list[tuple[str, str]]:
    """The files that one extends, up to the last."""
    found = [f"{one.name}.yaml" for one in template_of(file).made_of]
    return [(name, FILES[name]) for name in found] + [more for name in found for more in parents_of(name)]


def _steps(document: Document) -> list[Document]:
    found: list[Document] = document["spec"].get("steps", [])
    return found


def _goes_wrong(case: Case) -> bool:
    """Whether something fails in it, or it ends otherwise than it should."""
    fails = any(answer.fails for said in (*case.answers.values(), *case.undos.values()) for answer in said)
    return fails or case.expect["status"] != "completed"


def _without_version(document: Document) -> Broken:
    del document["metadata"]["version"]
    return "metadata", "metadata:"


def _without_name(document: Document) -> Broken:
    del document["metadata"]["name"]
    return "metadata", "metadata:"


def _without_use(document: Document) -> Broken:
    del document["spec"]["description"]["whenToUse"]
    return "spec.description", "description:"


def _unknown_key(document: Document) -> Broken:
    document["spec"]["surprise"] = 1
    return "spec.surprise", "surprise:"


def _no_time(document: Document) -> Broken:
    document["spec"]["timeout"] = "soon"
    return "spec.timeout", "timeout: soon"


def _no_list(document: Document) -> Broken:
    if "match" not in document["spec"]:
        return None
    document["spec"]["match"]["alertname"] = "KubePodCrashLooping"
    return "spec.match.alertname", "alertname:"


def _no_bool(document: Document) -> Broken:
    if "match" not in document["spec"]:
        return None
    document["spec"]["match"]["when"] = "alert.severity"
    return "spec.match.when", "when: alert.severity"


def _unknown_parent(document: Document) -> Broken:
    document["spec"]["extends"] = "nobody@1.0.0"
    return "spec.extends", "extends: nobody"


def _unknown_name(document: Document) -> Broken:
    if not _steps(document):
        return None
    _steps(document)[-1]["when"] = "params.nowhere == 1"
    return f"spec.steps.{len(_steps(document)) - 1}.when", "params.nowhere"


def _misspelt(document: Document) -> Broken:
    index = next((n for n, step in enumerate(_steps(document)) if "action" in step), None)
    if index is None:
        return None
    _steps(document)[index]["action"] += "_s"
    return f"spec.steps.{index}.action", f"action: {_steps(document)[index]['action']}"


def _wrong_type(document: Document) -> Broken:
    index = next((n for n, step in enumerate(_steps(document)) if "action" in step and "with" in step), None)
    if index is None:
        return None
    _steps(document)[index]["with"]["reason"] = 4711
    return f"spec.steps.{index}.with.reason", "reason: 4711"


def _cycle(document: Document) -> Broken:
    if not _steps(document):
        return None
    step = _steps(document)[-1]
    step["needs"] = [step["id"]]
    return "spec.steps", "steps:"


def _unknown_source(document: Document) -> Broken:
    document["spec"].setdefault("derive", {})["nowhere"] = "alert.name"
    return "spec.derive.nowhere", "nowhere: alert.name"


def _no_default(document: Document) -> Broken:
    document["spec"].setdefault("parameters", {}).setdefault("properties", {})["lost"] = {"type": "string"}
    return "spec.parameters.properties.lost", "lost:"


BREAKS: Mapping[str, Callable[[Document], Broken]] = {
    breaks.__name__.strip("_"): breaks
    for breaks in (
        _without_version,
        _without_name,
        _without_use,
        _unknown_key,
        _no_time,
        _no_list,
        _no_bool,
        _unknown_parent,
        _unknown_name,
        _misspelt,
        _wrong_type,
        _cycle,
        _unknown_source,
        _no_default,
    )
}


@pytest.mark.parametrize("file", FILES)
def test_each_is_sound(file: str) -> None:
    """Lint has nothing to say against any of them, with all that the executor can do as catalogue."""
    assert check([(file, FILES[file])], others=parents_of(file), catalogue=KNOWN).flaws == ()


@pytest.mark.parametrize("case", TESTED, ids=lambda case: f"{case.file.removesuffix(FIXTURES)}: {case.name}")
def test_each_does_what_its_own_tests_say(case: Case) -> None:
    """Alert in, scripted answers, and the order, undo and end that were promised."""
    verdict = judge(case, shipped(), RULES, KNOWN)
    assert verdict.wrong == (), verdict.happened


@pytest.mark.parametrize("file", FILES)
def test_each_has_tests_of_the_good_way_and_of_a_bad_one(file: str) -> None:
    """Beside each file stand tests: one that ends well, and one where something fails or nobody answers."""
    own = [one for one in TESTED if one.file == file.replace(".yaml", FIXTURES)]
    assert {one.expect["template"].partition("@")[0] for one in own} == {template_of(file).reference.name}
    assert any(one.expect["status"] == "completed" for one in own)
    assert any(_goes_wrong(one) for one in own)


@pytest.mark.parametrize("file", FILES)
def test_what_changes_something_is_proven(file: str) -> None:
    """Whoever changes something looks afterwards whether it has helped, unless nothing has a match that leads there."""
    found = template_of(file)
    changing = [one for one in found.rule.actions if (entry := KNOWN.get(one.type)) and entry.changes]
    if found.match is not None and changing:
        assert found.rule.verify or all(one.postconditions for one in changing), file


@pytest.mark.parametrize("breaking", BREAKS)
@pytest.mark.parametrize("file", FILES)
def test_a_broken_copy_is_refused_with_line_and_field(file: str, breaking: str) -> None:
    """Whatever is broken in a copy, lint names file, line, column and field of it."""
    document = deepcopy(dict(template_file.source(file, FILES[file]).document))
    expected = BREAKS[breaking](document)
    if expected is None:
        assert breaking not in {"without_version", "unknown_key", "no_time"}
        return
    field, says = expected
    body = yaml.dump(document, sort_keys=False, width=10_000)
    flaws = check([("copy.yaml", body)], others=parents_of(file), catalogue=KNOWN).flaws
    found = [one for one in flaws if one.field == field]
    assert found, [str(one) for one in flaws]
    lines = body.splitlines()
    assert all(one.file == "copy.yaml" and one.column >= 1 and says in lines[one.line - 1] for one in found), found


@pytest.mark.parametrize("name", STOCK)
def test_every_stock_alert_leads_to_a_runbook(name: str) -> None:
    """An alert of a stock kube-prometheus is named by at least one of them."""
    assert speaking(shipped().matching(), Alert(name=name))


def test_upstreams_scenarios_are_all_there() -> None:
    """The six of upstream's template factory, each under its own name."""
    assert set(SCENARIOS) <= {one.name for one in shipped().templates}


@pytest.mark.parametrize("name", ["HighCPUUsage", "MemoryLeak", "DiskSpaceHigh", "ServiceSlow", "Odd"])
def test_other_alerts_are_left_to_the_rule_file(name: str) -> None:
    """No runbook takes an alert that it does not name: the specified one above all."""
    alert = Alert(name=name, severity="critical", namespace="production", resource="pod/web-server-123")
    assert planned(alert).creation_method == "fallback"


@pytest.mark.parametrize("text", ['data"} or vector(1', "data-0',x='", "${{ alert.name }}", "a b"])
def test_a_label_never_becomes_part_of_a_query(text: str) -> None:
    """A claim's name that would change the query makes the runbook unfit, and a person is told instead."""
    labels = {"namespace": "shop", "persistentvolumeclaim": text}
    alert = Alert(name="KubePersistentVolumeFillingUp", severity="critical", namespace="shop", labels=labels)
    plan = planned(alert)
    assert plan.rule == "volume-needs-a-person@1.0.0"
    assert not any(step.changes for step in plan.steps)


def test_the_table_of_runbooks_is_fresh() -> None:
    """The page says which alert leads where, what is changed and what can be undone, as the templates say it."""
    assert generate_runbooks.PAGE.read_text("utf-8") == generate_runbooks.render()
