"""Templates and rules that an advisor chooses among, by HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import stub_ai
from tests.support.questions import pick, text
from tests.support.replica import HIGH_CPU, act, eventually, replica
from tests.support.scripted_executor import ScriptedExecutor
from tests.support.stub_ai import OPENAI, StubAi

pytestmark = pytest.mark.requirement("BR-WF-001")


def two_rules(directory: Path) -> str:
    """Two rules that speak of the alert and fit; the first wins without advice."""
    rules = [
        {"name": name, "reason": f"the {name} way", "when": {"keywords": ["cpu"]}, "actions": [act(name, on="target")]}
        for name in ("first", "second")
    ]
    path = directory / "rules.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "rules": rules}, sort_keys=False), "utf-8")
    return str(path)


@pytest.mark.parametrize(("percent", "done"), [(70, "second"), (69, "first")])
async def test_an_advisor_chooses_among_rules_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: int, done: str
) -> None:
    """0.70 chooses, 0.69 leaves it to the rules' order; what is done, and whether advice was applied, says which."""
    chosen = text(picks=[pick("second", parameters={})], suggested=[], confidence_percent=percent)
    monkeypatch.setitem(stub_ai.WRITINGS, "second", lambda: chosen)
    monkeypatch.setitem(stub_ai.WRITINGS, "as it is", lambda: text(picks=[], suggested=[]))
    executor = ScriptedExecutor()
    async with StubAi(OPENAI, "second", "as it is").serving() as stub:
        given: Any = {"RULES_FILE": two_rules(tmp_path), "AI_PROVIDER": "openai", "AI_SERVICE_URL": stub.url}
        async with replica(tmp_path, executor, **given) as running:
            await eventually(running.parts.advising.there, "the advisor is found")
            result = await running.result(HIGH_CPU)
    metadata = result["execution_details"]["plan"]["metadata"]
    assert [order.step_id for order in executor.sent] == [done]
    assert result["ai_analysis_applied"] is (done == "second")
    assert metadata["creation_method"] == ("ai_selected" if done == "second" else "fallback")
    assert "the first way" in str(stub.asked[0]["body"])
