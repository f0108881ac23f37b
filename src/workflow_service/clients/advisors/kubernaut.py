"""Kubernaut's own AI service: it names actions in its own words, which become picks among the candidates.

| task | asked | the choice is |
|---|---|---|
| select | analyze-alert | the candidate with the action that it names |
| generate | analyze-alert | the candidates with the actions that it names, in order; or a multi-stage answer |
| enhance | analyze-alert, then recommendations | its parameters for planned steps; the rest is suggestions |
| recover | investigate, then recommendations among the options | the first recommendation that is an option |

A recommendation that breaks a rule is refused whole and noted; an analysis that does refuses the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from workflow_service.clients.advisors import kubernaut_wire as wire
from workflow_service.clients.advisors.asking import Asked, Said, no_answer
from workflow_service.clients.advisors.line import Line
from workflow_service.clients.advisors.multi_stage_wire import is_multi_stage
from workflow_service.domain.advice import MOST_ACTIONS, MOST_SUGGESTIONS, Draft, Task
from workflow_service.domain.answer_checks import check
from workflow_service.domain.errors import AdvisorAway

MODE = "native"
PATIENCE = 10.0  # seconds for what is asked besides: without it the rest of the answer still counts


class Kubernaut:
    """`Provider` over `/api/v1/analyze-alert`, `/recommendations` and `/investigate`."""

    name = "kubernaut"
    mode = MODE

    def __init__(self, line: Line) -> None:
        self._line, self.model = line, ""

    async def recognised(self) -> bool:
        """It tells about itself."""
        heard = await self._line.get("/api/v1/service-info")
        return heard.status == 200 and bool(heard.mapping())

    async def ask(self, asked: Asked) -> Said:
        """Ask what the task needs."""
        if asked.task is Task.RECOVER:
            return await self._recovering(asked)
        analysis = await self._post("analyze-alert", wire.alert_body(asked))
        if asked.task is Task.GENERATE and is_multi_stage(analysis):
            return Said(MODE, document=analysis)
        found = wire.proposals(analysis)
        if not found:
            return Said(MODE, flaw=no_answer("must name an action"))
        suggested: list[dict[str, Any]] = []
        notes: list[str] = []
        picks = _picks(found, asked)
        if asked.task is Task.ENHANCE and asked.question.suggestible:
            suggested = await self._suggested(asked, notes)
        cause, summary = wire.summary(analysis)
        confidence = analysis.get("confidence", found[0].get("confidence"))
        document = _answer(picks, wire.percent(confidence), cause, summary)
        return Said(MODE, document={**document, "suggested": suggested}, notes=tuple(notes))

    async def _suggested(self, asked: Asked, notes: list[str]) -> list[dict[str, Any]]:
        body = wire.alert_body(asked, constraints=wire.constraints(asked.question.suggestible))
        try:
            async with asyncio.timeout(PATIENCE):
                document = await self._post("recommendations", body)
        except (AdvisorAway, TimeoutError) as error:
            notes.append(f"recommendations: {str(error) or 'no answer in time'}")
            return []
        found: list[dict[str, Any]] = []
        for one, action in wire.recommended(document):
            entry = wire.suggestion_from(action, asked.question, one.get("explanation") or one.get("title"))
            judged = check({**_answer([], 0), "suggested": [entry]}, asked.task, asked.question)
            if isinstance(judged, Draft):
                found.append(entry)
            else:
                notes.append(f"a recommendation was refused: {judged[0]}")
        return found[:MOST_SUGGESTIONS]

    async def _recovering(self, asked: Asked) -> Said:
        investigated = await self._post("investigate", wire.alert_body(asked, depth="shallow"))
        investigation = investigated.get("investigation")
        investigation = investigation if isinstance(investigation, Mapping) else {}
        body = wire.alert_body(asked, constraints=wire.constraints(asked.question.candidates))
        document = await self._post("recommendations", body)
        chosen = next(wire.recommended(document), None)
        cause = wire.root_cause(investigation)
        said = str(investigation.get("summary") or "")
        if chosen is None:
            confidence = wire.percent(investigation.get("confidence"))
            return Said(MODE, document=_answer([], confidence, cause, said), seen=bool(investigation.get("findings")))
        one, action = chosen
        picks = [wire.pick_from({"priority": one.get("priority"), **action}, asked.question)]
        return Said(
            MODE,
            document=_answer(
                picks, wire.percent(one.get("confidence")), cause, said or str(one.get("explanation") or "")
            ),
            seen=bool(one.get("evidence") or investigation.get("findings")),
        )

    async def _post(self, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        heard = await self._line.post(f"/api/v1/{route}", body)
        if heard.status != 200:
            raise heard.away()
        return heard.mapping()


def _picks(found: list[Mapping[str, Any]], asked: Asked) -> list[dict[str, Any]]:
    """For one choice its first proposal; for a plan each of them, a step once."""
    picks: list[dict[str, Any]] = []
    most = {Task.ENHANCE: len(found), Task.GENERATE: MOST_ACTIONS}.get(asked.task, 1)
    for proposal in found[:most]:
        picks.append(wire.pick_from(proposal, asked.question, [one["candidate"] for one in picks]))
    return picks


def _answer(picks: list[dict[str, Any]], confidence: int, cause: str = "", summary: str = "") -> dict[str, Any]:
    return {"picks": picks, "confidence_percent": confidence, "root_cause": cause, "summary": summary}
