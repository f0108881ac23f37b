"""What all tests share: how hard hypothesis tries, and where the cases of tests/cluster run."""

import pytest

from tests import settings_of_hypothesis

settings_of_hypothesis.load()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of `make test-cluster`; without them tests/cluster runs against the sandbox."""
    group = parser.getgroup("cluster")
    group.addoption("--kubernetes", metavar="FOLDER", help="run tests/cluster on the control plane in this folder")
    group.addoption("--proof", metavar="FILE", help="write what ran on that control plane as a table")
    group.addoption("--record", metavar="FILE", help="write how many tests of each action passed, for docs/actions.md")
