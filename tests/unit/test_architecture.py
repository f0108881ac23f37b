"""The rules of the house are checked, and the checks can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 300  # lines of a module


def _contracts(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", "pyproject.toml"]
    environment = {"PYTHONPATH": str(directory / "src"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code that may be broken."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("domain/retry.py", "import random", "the domain is pure"),
        ("domain/retry.py", "import workflow_service.ports", "imports go one way"),
        ("engine/run.py", "import dbos", "dbos is known to one module"),
        ("planning/planner.py", "import workflow_service.settings", "only app wires"),
        ("app.py", "import executor_service.contract", "the two packages share no code"),
    ],
)
def test_a_broken_import_contract_is_noticed(copy: Path, module: str, line: str, contract: str) -> None:
    """Each import contract turns red when it is broken on purpose."""
    broken = copy / "src" / "workflow_service" / module
    broken.write_text(f"{broken.read_text()}\n{line}\n")
    checked = _contracts(copy)
    assert checked.returncode != 0, checked.stdout
    assert any(contract in row and "BROKEN" in row for row in checked.stdout.splitlines()), checked.stdout


def test_the_import_contracts_hold(copy: Path) -> None:
    """As it stands, every contract is kept."""
    checked = _contracts(copy)
    assert checked.returncode == 0, checked.stdout


def test_modules_stay_small() -> None:
    """No module is longer than a reader's patience."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "src").rglob("*.py")
        if "versions" not in path.parts and (lines := len(path.read_text().splitlines())) > LIMIT
    }
    assert long == {}


def test_packages_say_what_belongs_there() -> None:
    """Every package's `__init__` has a docstring."""
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "src").rglob("__init__.py")
        if not path.read_text().lstrip().startswith('"""')
    ]
    assert silent == []
