"""What planning tests share: the shipped rules, the executor's real catalogue, and alerts in production."""

from datetime import UTC, datetime
from typing import Any

from executor_service.actions.catalogue import Catalogue as OfferedByExecutor
from executor_service.kubernetes.surroundings import Surroundings
from tests.unit.factories import a_target, action_of
from workflow_service.domain.alert import Alert
from workflow_service.domain.catalogue import Catalogue, catalogue_from_wire
from workflow_service.domain.plan import Plan, Step
from workflow_service.domain.target import Target, resolve
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.make_plan import make_plan
from workflow_service.planning.rule_file import read_rules
from workflow_service.ports import Observation

RULES = read_rules()
LIMITS = PlanLimits()
_OFFERED = OfferedByExecutor().offer(Surroundings())
CATALOGUE = catalogue_from_wire({"digest": _OFFERED.digest, "actions": _OFFERED.entries})
WEB = a_target(name="web-server")
POD = a_target(kind="Pod", name="web-server-123")

MINIMAL = """
version: 1
rules:
- name: one
  reason: because
  actions:
  - {id: tell, type: notify-team, parameters: {message: "{alert}"}}
"""


def seen(*owners: Target, found: bool = True, **facts: Any) -> Observation:
    """What the executor saw."""
    return Observation(found, facts, owners, datetime(2026, 11, 22, tzinfo=UTC))


def plan_for(observation: Observation | None = None, **values: Any) -> Plan:
    """The plan for an alert in production; `catalogue`, `rules` and `limits` may be given too."""
    given_here: dict[str, Any] = {"catalogue": CATALOGUE, "rules": RULES, "limits": LIMITS}
    given_here |= {name: values.pop(name) for name in tuple(values) if name in given_here}
    alert = Alert(**{"name": "Trouble", "namespace": "production", **values})
    return make_plan(alert, resolve(alert, "default"), observation=observation, **given_here)


def types(plan: Plan) -> list[str]:
    """The plan's action types, in order."""
    return [action_of(step).type for step in plan.steps]


def changing(plan: Plan) -> list[Step]:
    """The steps that change something."""
    return [step for step in plan.steps if step.changes]


def offering(*without: str) -> Catalogue:
    """The executor's catalogue without some of its actions."""
    return Catalogue("sha256:less", {name: entry for name, entry in CATALOGUE.actions.items() if name not in without})
