"""What plans are made by and judged by: the version that the settings name, and the one that is tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.plan import Plan
from workflow_service.domain.policy import Policy
from workflow_service.domain.target import resolve
from workflow_service.domain.template import Lifecycle
from workflow_service.meaning import limits_of, policy_defaults, policy_of
from workflow_service.planning import library as files
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.library import Library, assemble, read
from workflow_service.planning.linting import check
from workflow_service.planning.make_plan import make_ordered, make_plan
from workflow_service.planning.ordering import order_of
from workflow_service.planning.policy_file import read_policy
from workflow_service.planning.rule_file import read_rules
from workflow_service.planning.rules import Rules
from workflow_service.planning.template_file import InvalidTemplate, LocatedFlaw
from workflow_service.ports import Observation
from workflow_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Version:
    """One set of policy, rules and templates."""

    policy: Policy
    rules: Rules
    library: Library
    limits: PlanLimits

    def plan(
        self,
        alert: Alert,
        ordered: Mapping[str, Any] | None,
        observation: Observation | None,
        catalogue: Catalogue | None,
        cluster: str,
    ) -> Plan:
        """The plan for an alert, or of what was ordered, asking nobody.

        Raises:
            InvalidPlan: what was ordered cannot be done any more.
        """
        target = resolve(alert, cluster)
        rules = replace(self.rules, templates=self.library.matching())
        if ordered is None:
            return make_plan(
                alert, target, observation=observation, catalogue=catalogue, rules=rules, limits=self.limits
            )
        order, basis = order_of(ordered, self.library), (rules, self.limits)
        return make_ordered(order, alert, target, observation=observation, catalogue=catalogue, basis=basis)


@dataclass(frozen=True, slots=True)
class Tried:
    """The files of the version that is tried; what is not given stays as the settings have it."""

    policy: Path | None = None
    rules: Path | None = None
    templates: tuple[Path, ...] = ()  # files or directories, beside those that there are


def versions(settings: Settings, tried: Tried) -> tuple[Version, Version]:
    """The present one, and the one that is tried, in which the given templates count as active.

    Raises:
        InvalidPolicy, InvalidRules, InvalidTemplate: a file breaks its format; every flaw is named.
    """
    present = Version(
        policy=policy_of(settings)(),
        rules=read_rules(settings.intake.rules_file),
        library=assemble(read(_present(settings))),
        limits=limits_of(settings),
    )
    policy = read_policy(tried.policy, policy_defaults(settings)) if tried.policy else present.policy
    rules = read_rules(tried.rules) if tried.rules else present.rules
    library = _with(settings, tried.templates) if tried.templates else present.library
    return present, replace(present, policy=policy, rules=rules, library=library)


def _present(settings: Settings) -> list[tuple[str, str]]:
    given = settings.templates
    shipped = files.shipped() if given.shipped else []
    return [*shipped, *(files.files_in(given.directory) if given.directory else ())]


def _with(settings: Settings, paths: Iterable[Path]) -> Library:
    """The library with these files in it; a version that is there already gives way to the given one."""
    tried, present = [one for path in paths for one in _files(path)], _present(settings)
    if flaws := check(tried, others=present, catalogue=files.known_actions()).flaws:
        raise InvalidTemplate(flaws)
    given = read(tried)
    named = {one.reference for one in given}
    kept = [one for one in read(present) if one.reference not in named]
    found = assemble([*kept, *given]).templates
    return Library(
        {name: replace(one, lifecycle=Lifecycle.ACTIVE) if name in named else one for name, one in found.items()}
    )


def _files(path: Path) -> list[tuple[str, str]]:
    if path.is_dir():
        return files.files_in(path)
    try:
        return [(str(path), path.read_text("utf-8"))]
    except (OSError, ValueError) as error:
        flaw = LocatedFlaw(str(path), 1, 1, "file", str(path), f"cannot be read: {error}")
        raise InvalidTemplate([flaw]) from error
