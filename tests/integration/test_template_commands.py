"""`workflow-service template` beside a service that runs: files in, files out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.integration.test_cli_people import cli
from tests.integration.test_templates_api import TOUCH
from tests.support.processes import Stack, eventually
from workflow_service.__main__ import main

pytestmark = pytest.mark.requirement("BR-WF-027")

COLLECT = TOUCH.replace("action: touch, with: {name", 'action: notify_team, with: {message: "x", team').replace(
    ', times: "${{ params.times }}"', ""
)


def bring(file: Path, to: Path) -> tuple[int, str]:
    """Exit code and output of an import."""
    done = CliRunner().invoke(main, ["template", "import", str(file), "--to", str(to)])
    return done.exit_code, done.output


def test_a_version_comes_in_once(tmp_path: Path) -> None:
    """A sound file is written under its name and version; again is nothing new; another text of it is refused."""
    file, to = tmp_path / "any.yaml", tmp_path / "to"
    to.mkdir()
    file.write_text(COLLECT, encoding="utf-8")
    assert bring(file, to) == (0, f"{to}/touch-it-1.0.0.yaml: written\n")
    assert bring(file, to) == (0, "")
    file.write_text(COLLECT.replace("alone", "lonely"), encoding="utf-8")
    code, said = bring(file, to)
    assert (code, "raise the version" in said, "-" in said) == (1, True, True)
    file.write_text(COLLECT.replace("steps:", "stps:"), encoding="utf-8")
    code, said = bring(file, to)
    assert (code, "spec.stps" in said) == (1, True)
    assert (to / "touch-it-1.0.0.yaml").read_text(encoding="utf-8") == COLLECT


def test_a_service_lists_and_gives_away_what_it_has(tmp_path: Path) -> None:
    """Imported while it runs, listed, exported byte by byte; what is wrong with its files is told on stderr."""
    where, out = tmp_path / "templates", tmp_path / "out"
    where.mkdir()
    out.mkdir()
    with Stack(tmp_path, TEMPLATES_DIR=str(where), SHIPPED_TEMPLATES="false") as stack:
        assert cli(stack, "template", "list").split() == ["TEMPLATE", "VERSION", "LIFECYCLE", "ALERTS", "WHAT"]
        (tmp_path / "a.yaml").write_text(COLLECT, encoding="utf-8")
        assert bring(tmp_path / "a.yaml", where)[0] == 0
        url = f"{stack.workflow.url}/api/v1/templates"
        eventually(lambda: stack.http.get(url).json()["templates"], "the template is loaded")
        assert "touch-it  1.0.0    active     Lonely  touches a Deployment" in cli(stack, "template", "list")
        assert json.loads(cli(stack, "template", "list", "-o", "json"))["trouble"] == []
        written = cli(stack, "template", "export", "--to", str(out), "touch-it@1.0.0").strip()
        assert Path(written).read_text(encoding="utf-8") == COLLECT
        assert "no template nobody" in cli(stack, "template", "export", "--to", str(out), "nobody", expect=1)
