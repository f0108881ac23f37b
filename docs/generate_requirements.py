"""Writes docs/requirements.md from docs/requirements.yaml and the tests' `requirement` markers.

Run it after changing either: `python docs/generate_requirements.py`. A test fails while the page is stale. The tests
are read, not imported: a marker counts on a test, on a class of tests, and on a whole module (`pytestmark`).
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

PAGE = Path(__file__).with_name("requirements.md")
SOURCE = Path(__file__).with_name("requirements.yaml")
ROOT = Path(__file__).parent.parent
STATES = ("now", "part", "later")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement with a text, as docs/requirements.yaml has it."""

    id: str
    state: str
    meaning: str
    home: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A test that carries a requirement's id."""

    requirement: str
    file: str  # relative to the repository
    test: str


def requirements() -> list[Requirement]:
    """Every requirement, in the order of the file."""
    return [Requirement(**entry) for entry in yaml.safe_load(SOURCE.read_text("utf-8"))]


def proofs(tests: Path) -> Iterator[Proof]:
    """Every marker below `tests`, by file and place."""
    for file in sorted(tests.rglob("test_*.py")):
        tree = ast.parse(file.read_text("utf-8"), str(file))
        for name, identifier in _marked(tree.body):
            yield Proof(identifier, file.relative_to(tests.parent).as_posix(), name)


def render() -> str:
    """The whole page."""
    known = requirements()
    tests: dict[str, list[Proof]] = {}
    for proof in proofs(ROOT / "tests"):
        tests.setdefault(proof.requirement, []).append(proof)
    counts = Counter(one.state for one in known)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES)
    return "\n".join(
        [*_HEAD, f"{len(known)} requirements: {told}.", "", *_table(known, tests), "", *_proofs(tests), ""]
    )


def _table(known: list[Requirement], tests: Mapping[str, list[Proof]]) -> Iterator[str]:
    yield "| id | meaning chosen | state | where it lives, or what it will be | tests |"
    yield "|---|---|---|---|---|"
    for one in known:
        number = len(tests.get(one.id, ()))
        link = f"[{number}](#{one.id.lower()})" if number else "none"
        yield f"| {one.id} | {one.meaning} | {one.state} | {one.home} | {link} |"


def _proofs(tests: Mapping[str, list[Proof]]) -> Iterator[str]:
    yield "## Tests"
    for identifier in sorted(tests):
        yield ""
        yield f"### {identifier}"
        yield ""
        for proof in tests[identifier]:
            yield f"- `{proof.file}::{proof.test}`"


def _marked(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, str]]:
    """(test, requirement id) for every marker in these statements."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = inside + statement.name
            yield from ((name, one) for decorator in statement.decorator_list for one in _identifiers(decorator))
            if isinstance(statement, ast.ClassDef):
                yield from _marked(statement.body, f"{name}::")
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            # `pytestmark = ...`, or a class that is marked by a call: `TestX = pytest.mark.requirement(...)(X)`
            target = statement.targets[0].id
            name = (inside.removesuffix("::") or "(all)") if target == "pytestmark" else inside + target
            yield from ((name, one) for one in _identifiers(statement.value))


def _identifiers(expression: ast.expr) -> Iterator[str]:
    """The arguments of every `pytest.mark.requirement(...)` in an expression."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "requirement":
            yield from (argument.value for argument in node.args if _is_text(argument))  # type: ignore[attr-defined]


def _is_text(argument: ast.expr) -> bool:
    return isinstance(argument, ast.Constant) and isinstance(argument.value, str)


_HEAD = [
    "# Requirements",
    "",
    "Generated from `docs/requirements.yaml` and the tests' `@pytest.mark.requirement` markers by",
    "`docs/generate_requirements.py`; do not edit.",
    "",
    "The specification names BR-WF-001 to BR-WF-165. Upstream's requirements document gives 38 of them a text: 001 to",
    "034 and 050 to 053. **BR-WF-035 to 049 and BR-WF-054 to 165 (127 ids) were never given a text of their own**, and",
    "what other documents say about some of these numbers contradicts itself. Nothing is claimed for them here.",
    "",
    "`now`: it works. `part`: what stands first under its home works, the rest is later. `later`: nothing yet. A",
    "requirement without tests is not proven, whatever its state.",
    "",
]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
