"""What ran on a real control plane, as a page for people: every case, and how it ended."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.cluster.case import Case
from tests.cluster.cases import CASES, RIGHTS_WITHOUT_A_CASE, WITHOUT_A_CASE
from tests.cluster.differences import ANSWERS, CONTROLLER_ANNOTATIONS, CONTROLLER_TAINTS, PLACES, SERVER_OWNED

_COLUMNS = {
    "test_effect": "effect",
    "test_dry_run_changes_nothing": "dry run",
    "test_undo_restores_the_object": "undo",
    "test_what_cannot_be_undone_says_so": "undo refused",
    "test_undo_refuses_drift": "drift refused",
    "test_undo_keeps_what_others_did_elsewhere": "foreign change kept",
    "test_one_right_fewer": "one right fewer",
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
    """A pytest plugin; writes `page` at the end."""

    page: Path
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
        """Write the page."""
        self.page.write_text("\n".join(self._lines()) + "\n", "utf-8")

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
    yield from ("", "## Without a case", "")
    yield from (f"- `{name}`: {reason}" for name, reason in WITHOUT_A_CASE.items())
    yield from ("", "Granted by the delivered role beyond what the cases need:", "")
    for right, reason in RIGHTS_WITHOUT_A_CASE.items():
        yield f"- {right.verb} {right.resource}{'.' + right.group if right.group else ''}: {reason}"
    yield from ("", "## Differences between the sandbox and the real thing", "")
    yield "From `tests/cluster/differences.py`, which the suite reads. `make test` runs the same tests on the sandbox."
    yield ""
    for table in (PLACES, SERVER_OWNED, CONTROLLER_ANNOTATIONS, CONTROLLER_TAINTS):
        yield from (f"- `{name}`: {reason}" for name, reason in table.items())
    yield from (f"- {name}, {place}: {code} {reason}" for (name, place), (code, reason) in ANSWERS.items())


_HEAD = """\
# Proof on a real Kubernetes API server

Written by `make test-cluster`; do not edit. That is also how to repeat it. It builds kube-apiserver,
kube-controller-manager and kube-scheduler from Debian bookworm's source package and takes Debian's etcd: once,
about 8 CPU minutes, into `$XDG_CACHE_HOME/workflow-service/cluster` or the folder that `CLUSTER_DIR` names. Then it
starts them on loopback with TLS and RBAC, and runs `tests/cluster` against executor-service as a process. The
executor is the service account of `deploy/microservices/executor-deployment.yaml` and has exactly the rights
granted there.

What is not real: there are no kubelets and no containers. `tests/support/hollow_nodes.py` reports three nodes as
Ready and the pods bound to them as running, or as crashing where a pod's annotation says so. API server, storage,
admission, RBAC, scheduler and controllers are the real ones, of one version of Kubernetes: the one named here.

A dash means that the test does not apply: what cannot be undone has no undo to try, and so on.
""".splitlines()
