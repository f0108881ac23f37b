"""The Containerfiles say what an image needs: a replaceable base, locked packages, no privileges, a health check."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from workflow_service import __version__

ROOT = Path(__file__).parents[2]
PORTS = {"workflow-service": 8083, "executor-service": 8084}


def instructions(service: str) -> list[tuple[str, str]]:
    """A Containerfile as (instruction, argument), continued lines joined, comments dropped."""
    text = (ROOT / "deploy" / f"Containerfile.{service}").read_text("utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name]


def final_stage(service: str) -> dict[str, list[str]]:
    """What is said after the last FROM, by instruction."""
    said = instructions(service)
    last = max(index for index, (name, _) in enumerate(said) if name == "FROM")
    found: dict[str, list[str]] = {}
    for name, rest in said[last:]:
        found.setdefault(name, []).append(rest)
    return found


@pytest.mark.parametrize("service", PORTS)
def test_the_image_is_built_in_stages_from_a_base_that_can_be_replaced(service: str) -> None:
    """Debian slim by default, the same base for both stages, nothing of the build tools in the result."""
    said = instructions(service)
    assert said[0] == ("ARG", "BASE=docker.io/library/python:3.11-slim-bookworm")
    assert [rest for name, rest in said if name == "FROM"] == ["${BASE} AS build", "${BASE}"]
    copies = final_stage(service)["COPY"]
    assert copies
    assert all(copy.startswith("--from=build ") for copy in copies)
    assert "RUN" not in final_stage(service)


@pytest.mark.parametrize("service", PORTS)
def test_the_image_installs_what_is_locked(service: str) -> None:
    """`uv sync --frozen` takes versions and hashes from uv.lock; no development tools; no editable install."""
    syncs = [rest for name, rest in instructions(service) if name == "RUN" and "uv sync" in rest]
    assert syncs
    assert all("--frozen" in sync and "--no-dev" in sync for sync in syncs)
    assert "--no-editable" in syncs[-1]
    copied = " ".join(rest for name, rest in instructions(service) if name == "COPY")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for file in ("pyproject.toml", "uv.lock", project["readme"], *project["license-files"]):
        assert file in copied


@pytest.mark.parametrize("service", PORTS)
def test_the_image_runs_as_nobody_special_and_knows_how_it_is(service: str) -> None:
    """User 1001, the service's port, no shell in between, and a health check through the program itself."""
    final = final_stage(service)
    assert final["USER"] == ["1001:1001"]
    assert final["EXPOSE"] == [str(PORTS[service])]
    (entry,) = final["ENTRYPOINT"]
    assert json.loads(entry) == [service]
    (check,) = final["HEALTHCHECK"]
    assert json.loads(check.partition("CMD ")[2]) == [service, "-health-check"]
    assert "CMD" not in final
    (labels,) = final["LABEL"]
    assert f'org.opencontainers.image.version="{__version__}"' in labels


@pytest.mark.parametrize("service", PORTS)
def test_the_program_of_the_image_exists(service: str) -> None:
    """What the image starts is a console script of the distribution."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert service in scripts
