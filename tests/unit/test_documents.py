"""The documents tell the truth: what is generated is fresh, what is named exists, what is promised is there."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs import generate_requirements, generate_settings

ROOT = Path(__file__).parents[2]
PAGES = (*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")))
IDS = [page.name for page in PAGES]
_MODULE = re.compile(r"`((?:workflow_service|executor_service)(?:\.\w+)*)(?::(\w+))?`")
_PATH = re.compile(r"`((?:src|docs|tests|deploy|config)/[\w./-]+)`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")

# Every type and function of the specification that is its own and not Go's library, Ginkgo's or logrus's.
SPECIFIED = re.findall(
    r"\S+",
    """
AIAnalysisApplied AIAnalysisResult AIConfig AIServiceClient AbortReason ActionStatus AdvancedWorkflowOrchestrator
AlertID AlertingSystem AnalyticsDashboard AnalyzeAlert CompletedActions ConfidenceThreshold Config CoordinateActions
CoordinateWorkflowExecution CoordinationResult CostOptimizer Create CreateWorkflow DependencyManager EstimatedDuration
ExecuteAction ExecutionResult ExecutorServiceClient FailedActions GenerateWorkflow GetActionStatus
GetRecommendationForAction GetRecommendations Health IntelligentWorkflowOptimizer MaxConcurrentWorkflows MaxRetries
MonitoringInterval NewAIServiceClient NewExecutorServiceClient NewServiceCoordinator NewWorkflowExecutor
NewWorkflowMonitor NewWorkflowOrchestrator NewWorkflowRollback NewWorkflowService NewWorkflowStateManager
OptimizationEngine ParallelExecutor ParallelWorkflowExecutor PatternAnalyzer PerformanceOptimizer ProcessAlert
RealTimeWorkflowMonitor RecommendationsResult ServiceCoordinator ServiceImpl ServicePort StartWorkflow
StateRetentionPeriod StreamProcessor SuggestedActions Workflow WorkflowAlerting WorkflowCostOptimizer WorkflowDashboard
WorkflowDependencyManager WorkflowExecutionTimeout WorkflowMonitor WorkflowOptimizationEngine WorkflowOrchestrator
WorkflowOrchestratorImpl WorkflowPatternAnalyzer WorkflowPerformanceOptimizer WorkflowRollback WorkflowService
WorkflowStateManager WorkflowStreamProcessor createLLMClient createWorkflowHTTPHandler enhanceWorkflowWithAI
generateAIWorkflow generateFallbackWorkflow getEnvDuration getEnvFloat getEnvInt getEnvString loadWorkflowConfiguration
main mergeParameters performHealthCheck runWorkflowService types.Action types.Alert
""",
)

WORDS = (
    "delivery",
    "alert",
    "target",
    "action type",
    "template",
    "plan",
    "step",
    "workflow",
    "execution",
    "drive",
    "journal",
)


def text(page: Path) -> str:
    """A page's text."""
    return page.read_text(encoding="utf-8")


def test_the_page_about_the_requirements_is_fresh() -> None:
    """docs/requirements.md is what the yaml and the tests' markers make of it."""
    page = generate_requirements.PAGE
    assert text(page) == generate_requirements.render(), "run: python docs/generate_requirements.py"


def test_the_page_about_the_settings_is_fresh() -> None:
    """docs/settings.md is what the settings' tables make of it."""
    page = generate_settings.PAGE
    assert text(page) == generate_settings.render(), "run: python docs/generate_settings.py"


def test_exactly_the_requirements_with_a_text_are_listed() -> None:
    """Upstream gave a text to 001 to 034 and 050 to 053, and to no other; nothing is claimed for the rest."""
    listed = [one.id for one in generate_requirements.requirements()]
    assert listed == [f"BR-WF-{number:03}" for number in (*range(1, 35), *range(50, 54))]
    assert "BR-WF-035 to 049 and BR-WF-054 to 165" in generate_requirements.render()


def test_every_requirement_says_what_and_where() -> None:
    """A known state, a meaning, a home; what works names a module."""
    for one in generate_requirements.requirements():
        assert one.state in generate_requirements.STATES
        assert one.meaning
        assert one.home
        assert (one.state == "later") != bool(_MODULE.search(one.home)), one.id


def test_no_marker_names_an_unknown_requirement() -> None:
    """A test cannot prove what was never asked."""
    known = {one.id for one in generate_requirements.requirements()}
    strangers = [proof for proof in generate_requirements.proofs(ROOT / "tests") if proof.requirement not in known]
    assert not strangers


def test_markers_are_found_wherever_pytest_takes_them(tmp_path: Path) -> None:
    """On functions, methods, classes, whole modules, and on classes that are marked by a call."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_all.py").write_text(
        "import pytest\n"
        "pytestmark = [pytest.mark.slow, pytest.mark.requirement('A')]\n"
        "@pytest.mark.requirement('B', 'C')\n"
        "async def test_one(): ...\n"
        "@pytest.mark.requirement('D')\n"
        "class TestTwo:\n"
        "    @pytest.mark.requirement('E')\n"
        "    def test_three(self): ...\n"
        "TestFour = pytest.mark.requirement('F')(Machine.TestCase)\n",
        encoding="utf-8",
    )
    found = {(proof.requirement, proof.test) for proof in generate_requirements.proofs(folder)}
    assert found == {
        ("A", "(all)"),
        ("B", "test_one"),
        ("C", "test_one"),
        ("D", "TestTwo"),
        ("E", "TestTwo::test_three"),
        ("F", "TestFour"),
    }


def test_every_name_of_the_specification_is_in_the_glossary() -> None:
    """Whoever comes from the specification finds where its things are, or that they come later."""
    glossary = text(ROOT / "docs" / "glossary.md")
    assert not [name for name in SPECIFIED if f"`{name}`" not in glossary]


def test_every_word_of_ours_is_in_the_glossary() -> None:
    """The words that public names are made of have a meaning and a home."""
    glossary = text(ROOT / "docs" / "glossary.md")
    assert not [word for word in WORDS if f"\n| {word} |" not in glossary]


def test_every_entry_of_the_glossary_has_a_home() -> None:
    """The last cell of each row names something of ours, says later, or where it comes from."""
    for line in text(ROOT / "docs" / "glossary.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and not cells[0].startswith(("word", "name there")):
            home = cells[-1]
            assert _MODULE.search(home) or _PATH.search(home) or re.search(r"\blater\b|whoever|the same path", home), (
                line
            )


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_module_and_name_that_a_page_mentions_exists(page: Path) -> None:
    """`package.module` is a module, and `package.module:name` is defined in it."""
    for module, name in _MODULE.findall(text(page)):
        source = source_of(module)
        assert source is not None, f"{page.name} names {module}, which does not exist"
        if name:
            assert name in set(defined(source)), f"{page.name} names {module}:{name}, which does not exist"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_file_that_a_page_mentions_exists(page: Path) -> None:
    """Paths in backticks and relative links lead somewhere; NNNN stands for a number."""
    for path in _PATH.findall(text(page)):
        assert "NNNN" in path or "*" in path or (ROOT / path).exists(), f"{page.name} names {path}"
    for path in _LINK.findall(text(page)):
        assert (page.parent / path).exists(), f"{page.name} links to {path}"


def source_of(module: str) -> Path | None:
    """The file of a module or package; None when there is none."""
    found = importlib.util.find_spec(module.split(".", maxsplit=1)[0])
    assert found is not None
    assert found.origin is not None
    place = Path(found.origin).parent.joinpath(*module.split(".")[1:])
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


def defined(source: Path) -> Iterator[str]:
    """Every name at the top of a module."""
    for node in ast.parse(text(source)).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Assign():
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name()):
                yield node.target.id  # type: ignore[union-attr]
            case _:
                pass


def test_decisions_are_numbered_dated_and_whole() -> None:
    """Without gaps, each with context, decision and consequence."""
    page = text(ROOT / "docs" / "decisions.md")
    entries = re.split(r"(?m)^## (?=\d)", page)[1:]
    assert [int(entry.split(".", 1)[0]) for entry in entries] == list(range(1, len(entries) + 1))
    for entry in entries:
        assert re.search(r"\n20\d\d-\d\d-\d\d\. \*\*Context:\*\*", entry), entry[:60]
        assert "**Decision:**" in entry
        assert "**Consequence:**" in entry


def test_every_command_of_the_makefile_is_explained() -> None:
    """CONTRIBUTING knows every target that a person would call, and no other."""
    targets = set(re.findall(r"(?m)^([a-z]+):.*## ", text(ROOT / "Makefile")))
    told = set(re.findall(r"(?m)^\| `make ([a-z]+)`", text(ROOT / "CONTRIBUTING.md")))
    assert told == targets - {"help", "clean"}


def test_the_licence_is_apaches_own_text() -> None:
    """The file is Apache-2.0 as published, unchanged."""
    licence = text(ROOT / "LICENSE")
    assert "Apache License\n                           Version 2.0, January 2004" in licence
    assert licence.rstrip().endswith("limitations under the License.")
    assert "Copyright [yyyy] [name of copyright owner]" in licence


def test_the_changelog_has_a_place_for_what_comes() -> None:
    """Keep a Changelog: an Unreleased section on top."""
    assert re.search(r"(?m)^## \[Unreleased\]$", text(ROOT / "CHANGELOG.md"))


def test_the_changelog_has_no_mark_of_a_merge() -> None:
    """What two branches wrote was put together, not left side by side."""
    assert not re.search(r"(?m)^(<{7}|={7}|>{7})", text(ROOT / "CHANGELOG.md"))
