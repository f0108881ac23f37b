"""What ran on a cluster: as a page for people (every case, and how it ended), and as numbers for docs/actions.md."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.case import Case
from tests.cluster.cases import AT_THE_START, CASES, OBSERVED
from tests.cluster.differences import ANSWERS, CONTROLLER_ANNOTATIONS, CONTROLLER_TAINTS, PLACES, SERVER_OWNED
from tests.support.places import Right

_COLUMNS = {
    "test_effect": "effect",
    "test_dry_run_changes_nothing": "dry run",
    "test_undo_restores_the_object": "undo",
    "test_what_cannot_be_undone_says_so": "undo refused",
    "test_undo_refuses_drift": "drift refused",
    "test_undo_keeps_what_others_did_elsewhere": "foreign change kept",
    "test_one_right_fewer": "one right fewer",
    "test_one_right_fewer_leaves_less_to_tell": "one right fewer, told",
    "test_a_rival_in_between_is_seen": "rival seen",
}
_WORDS = {"passed": "pass", "failed": "**FAIL**", "skipped": "skipped"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test and how it ended; `case` is the name of its row in the case table, if it has one."""

    test: str
    case: str
    says: str
    word: str


@dataclass(eq=False)
class Report:
    """A pytest plugin; writes `page` and `record` at the end, if they are given."""

    page: Path | None
    record: Path | None
    version: str = "unknown"
    outcomes: list[Outcome] = field(default_factory=list)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Function) -> Iterator[None]:
        """Keep how the test ended: its call, or what went wrong around it."""
        report: pytest.TestReport = yield  # type: ignore[assignment]
        if report.when == "call" or report.outcome != "passed":
            case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
            name = case.name if isinstance(case, Case) else ""
            says = (item.function.__doc__ or "").strip()
            self.outcomes.append(Outcome(item.originalname, name, says, _WORDS[report.outcome]))
        return report  # type: ignore[return-value]

    def pytest_sessionfinish(self) -> None:
        """Write what is asked for."""
        if self.page is not None:
            self.page.write_text("\n".join(self._lines()) + "\n", "utf-8")
        if self.record is not None:
            self.record.write_text(json.dumps(self._numbers(), indent=2) + "\n", "utf-8")

    def _numbers(self) -> dict[str, Any]:
        """By action: its cases, and how their tests ended."""
        actions: dict[str, dict[str, int]] = {}
        for name in sorted({case.type for case in CASES}):
            cases = {case.name for case in CASES if case.type == name}
            words = [one.word for one in self.outcomes if one.case in cases]
            passed = words.count(_WORDS["passed"])
            actions[name] = {"cases": len(cases), "passed": passed, "not_passed": len(words) - passed}
        return {"server": self.version, "ran_on": f"{datetime.now(UTC):%Y-%m-%d}", "actions": actions}

    def _lines(self) -> Iterator[str]:
        number = {word: sum(one.word == word for one in self.outcomes) for word in _WORDS.values()}
        told = ", ".join(f"{count} {word.strip('*').lower()}" for word, count in number.items())
        yield from (*_HEAD, "")
        yield f"Ran on {datetime.now(UTC):%Y-%m-%d} against Kubernetes {self.version}: {told}."
        yield from ("", "## Actions", "")
        yield from self._cases()
        yield from ("", "## Other tests", "", "| what must hold | tests | result |", "|---|---|---|")
        yield from self._others()
        yield from _explained()

    def _cases(self) -> Iterator[str]:
        yield "| action | case | " + " | ".join(_COLUMNS.values()) + " |"
        yield "|---" * (len(_COLUMNS) + 2) + "|"
        for case in CASES:
            cells = [
                _summed([one.word for one in self.outcomes if (one.test, one.case) == (test, case.name)])
                for test in _COLUMNS
            ]
            yield f"| `{case.type}` | {case.name} | " + " | ".join(cells) + " |"

    def _others(self) -> Iterator[str]:
        others = [one for one in self.outcomes if one.test not in _COLUMNS]
        for says in dict.fromkeys(one.says for one in others):
            words = [one.word for one in others if one.says == says]
            yield f"| {says} | {len(words)} | {_summed(words)} |"


def _summed(words: list[str]) -> str:
    """One cell for several tests: the worst word, with the number if there are several; a dash for none."""
    if not words:
        return "-"
    worst = next((word for word in reversed(_WORDS.values()) if word in words and word != "pass"), "pass")
    return worst if len(words) == 1 else f"{worst} ({sum(word == worst for word in words)} of {len(words)})"


def _explained() -> Iterator[str]:
    yield from ("", "## Rights that are needed in a rare moment only", "")
    for right in OBSERVED:
        yield f"- {_shown(right)}: a vanished pod is observed through an owner of that kind; without it 502"
    for right, reason in AT_THE_START.items():
        yield f"- {_shown(right)}: {reason}; shown with an executor that starts without it"
    yield f"- {_shown(_OF_JOBS)}: whether the owner of a pod opted out, where it is a Job; shown with such a pod"
    yield from ("", "## Differences between the sandbox and the real thing", "")
    yield "From `tests/cluster/differences.py`, which the suite reads. `make test` runs the same tests on the sandbox."
    yield ""
    for table in (PLACES, SERVER_OWNED, CONTROLLER_ANNOTATIONS, CONTROLLER_TAINTS):
        yield from (f"- `{name}`: {reason}" for name, reason in table.items())
    yield from (f"- {name}, {place}: {code} {reason}" for (name, place), (code, reason) in ANSWERS.items())


def _shown(right: Right) -> str:
    return f"{right.verb} {right.resource}{'.' + right.group if right.group else ''}"


_OF_JOBS = Right("get", "jobs", "batch")
_HEAD = """\
# Proof on a real Kubernetes API server

Written by `make test-cluster`; do not edit. That is also how to repeat it. It builds kube-apiserver,
kube-controller-manager, kube-scheduler and kubectl from Debian bookworm's source package and takes Debian's etcd:
once, about 9 CPU minutes, into `$XDG_CACHE_HOME/workflow-service/cluster` or the folder that `CLUSTER_DIR` names.
Then it starts them on loopback with TLS and RBAC, and runs `tests/cluster` against executor-service as a process. The
executor is the service account of `deploy/microservices/executor-deployment.yaml`, with the roles that
`executor-service rbac` prints when every setting is set; effects are looked at through kubectl. In the tests of a
case only `looking` and the role of the case's family are bound. "One right fewer" takes each right from its role in
turn, and something fails; no role has a right that no such test is about.

What is not real: there are no kubelets, no containers and no disks. `tests/support/hollow_nodes.py` reports three
nodes as Ready and the pods bound to them as running, as done (a Job's), or as crashing where a pod's annotation says
so; `tests/support/hollow_storage.py` gives claims their room and makes snapshots ready; the APIs of add-ons (volume
snapshots, metrics, a mesh) are custom resources of any fields. API server, storage, admission, RBAC, scheduler and
controllers are the real ones, of one version of Kubernetes: the one named here.

A dash means that the test does not apply: what cannot be undone has no undo to try, and so on.
""".splitlines()
