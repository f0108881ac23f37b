"""A slow advisor costs some plans their time, and then none: what the planner asks is accounted for by the breaker."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.asking import DEADLINE, Asking, asking
from tests.support.questions import question
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.stub_ai import OPENAI, StubAi

from workflow_service.domain.alert import Alert
from workflow_service.domain.breaker import BreakerState
from workflow_service.domain.catalogue import Catalogue
from workflow_service.domain.plan import Plan
from workflow_service.domain.projection import project
from workflow_service.planning.counsel import Counsel
from workflow_service.planning.enhancing import ADVICE
from workflow_service.planning.filling import PlanLimits
from workflow_service.planning.library import known_actions
from workflow_service.planning.planner import Planner
from workflow_service.planning.rule_file import read_rules

pytestmark = pytest.mark.requirement("BR-WF-001")

BUDGET = 0.2  # seconds, of a question as of a plan: as a replica has it
LEAK = Alert(name="MemoryLeak", severity="warning", namespace="staging", resource="deployment/api-server")


def planner_of(one: Asking) -> Planner:
    """The real one, with this advisor."""

    async def load() -> Catalogue | None:
        return known_actions()

    planner = Planner(ScriptedExecutor(), read_rules(), limits=PlanLimits(), load_catalogue=load, cluster="default")
    planner.counsel = Counsel(one.advisor, project, BUDGET)
    return planner


async def plan(planner: Planner) -> Plan:
    """The next plan."""
    async with asyncio.timeout(DEADLINE):
        return (await planner.plan(LEAK)).plan


@pytest.mark.parametrize("behaviour", ["drip", "slow"])
async def test_a_slow_advisor_is_left_alone_after_five_plans(behaviour: str) -> None:
    """Each plan records the attempt that was cut; after five the breaker is open, and nobody is asked."""
    async with StubAi(OPENAI, behaviour).serving() as stub, asking(stub, budget=BUDGET) as one:
        await one.advisor.look()
        planner = planner_of(one)
        for number in range(1, 6):
            told = (await plan(planner)).metadata[ADVICE]
            assert (told["provider"], told["reason"], len(told["attempts"])) == ("openai", "timeout", 1), told
            assert len(stub.asked) == number
        assert one.moves == [BreakerState.OPEN]
        told = (await plan(planner)).metadata[ADVICE]
        assert (told["reason"], len(told["attempts"]), len(stub.asked)) == ("circuit_open", 0, 5)
        assert one.count("ai_attempts_total", provider="openai", outcome="unavailable") == 5
        assert one.count("ai_fallback_total", reason="timeout") == 5
        assert one.count("ai_fallback_total", reason="circuit_open") == 1


async def test_a_question_without_time_is_not_asked() -> None:
    """Nothing is sent, and it is no failure of the advisor's."""
    async with StubAi(OPENAI).serving() as stub, asking(stub) as one:
        await one.advisor.look()
        for _ in range(6):
            reply = await one.advisor.enhance(question(), within=0.0)
            assert (reply.reason, reply.attempts) == ("timeout", ())
        assert (stub.asked, one.moves) == ([], [])
