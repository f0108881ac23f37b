"""The files of a directory of templates: which are read, and what is never told of those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.template_cases import small
from workflow_service.planning.library import files_in, read
from workflow_service.planning.linting import lint
from workflow_service.planning.template_file import MAX_BYTES, InvalidTemplate, LocatedFlaw

pytestmark = pytest.mark.requirement("BR-WF-027")
SECRET = "hunter2"


def flaws_in(directory: Path) -> tuple[LocatedFlaw, ...]:
    """What is wrong with the files of a directory."""
    with pytest.raises(InvalidTemplate) as caught:
        read(files_in(directory))
    return caught.value.flaws


def test_links_that_lead_out_are_not_read(tmp_path: Path) -> None:
    """Straight, over a link inside, or relative: the file is named and what it says is not."""
    secret, where = tmp_path / "secret.txt", tmp_path / "templates"
    where.mkdir()
    secret.write_text(SECRET, encoding="utf-8")
    (where / "leak.yaml").symlink_to(secret)
    [flaw] = flaws_in(where)
    assert (flaw.file, flaw.field, "leads out" in flaw.rule) == ("leak.yaml", "file", True)
    assert SECRET not in str(flaw)
    (where / "leak.yaml").unlink()
    (where / ".out").symlink_to(tmp_path)
    (where / "over.yaml").symlink_to(Path(".out", "secret.txt"))
    [flaw] = flaws_in(where)
    assert (flaw.file, "leads out" in flaw.rule) == ("over.yaml", True)


def test_a_mounted_config_map_is_read(tmp_path: Path) -> None:
    """Its files are links over `..data` to a hidden directory beside them; the mount may be a link itself."""
    mount, body = tmp_path / "mount", small("one")
    hidden = mount / "..2026_11_23"
    hidden.mkdir(parents=True)
    (hidden / "one.yaml").write_text(body, encoding="utf-8")
    (mount / "..data").symlink_to(hidden.name)
    (mount / "one.yaml").symlink_to(Path("..data", "one.yaml"))
    (tmp_path / "linked").symlink_to(mount)
    assert files_in(mount) == files_in(tmp_path / "linked") == [("one.yaml", body)]


def test_no_more_is_read_than_a_template_may_have(tmp_path: Path) -> None:
    """A file that is far too long is refused for its length, at once."""
    with (tmp_path / "long.yaml").open("wb") as file:
        file.truncate(1 << 28)
    [(_, body)] = files_in(tmp_path)
    assert len(body) == MAX_BYTES + 1
    [flaw] = flaws_in(tmp_path)
    assert f"must be at most {MAX_BYTES} bytes" in flaw.rule


@pytest.mark.parametrize(
    "body",
    [
        SECRET,
        f"password: {SECRET}",
        f"kind: Secret\ndata: {{key: {SECRET}}}",
        f"{SECRET}: [",
        f"a: {SECRET}\n\tb: {SECRET}: {SECRET}",
        f"- {SECRET}",
        f"{SECRET}: 1\n{SECRET}: 2",
    ],
)
def test_what_is_no_template_is_not_quoted(tmp_path: Path, body: str) -> None:
    """Whether it is YAML or not, nothing of it comes into a flaw, and its file is named."""
    (tmp_path / "other.yaml").write_text(body, encoding="utf-8")
    told = flaws_in(tmp_path)
    assert {flaw.file for flaw in told} == {"other.yaml"}
    assert SECRET not in "".join(map(str, told))


def test_lint_looks_at_the_other_files_too(tmp_path: Path) -> None:
    """One that cannot be read is named beside what is wrong with the next, and the sound one is checked."""
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "b.yaml").write_text(small("two").replace("kind:", "kinds:"), encoding="utf-8")
    (tmp_path / "c.yaml").write_text(small("three"), encoding="utf-8")
    found = lint(tmp_path, None)
    assert {flaw.file for flaw in found.flaws} == {"a.yaml", "b.yaml"}
    assert [one.reference.name for one in found.templates] == ["three"]
    assert {flaw.file for flaw in flaws_in(tmp_path)} == {"a.yaml"}
