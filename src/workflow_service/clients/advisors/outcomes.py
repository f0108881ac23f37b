"""Where what came of advice is told: one JSON document for each run, at an address of the operator's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from workflow_service.clients.advisors.line import Line
from workflow_service.domain.errors import AdvisorAway

PATIENCE = 5.0  # seconds for one report


class Outcomes:
    """Posts reports; never raises for whoever does not take them."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def tell(self, report: Mapping[str, Any]) -> str | None:
        """Post it once; why nobody has taken it, or None."""
        try:
            async with asyncio.timeout(PATIENCE):
                heard = await self._line.post("", report)
        except TimeoutError:
            return f"no answer within {PATIENCE:g} s"
        except AdvisorAway as away:
            return str(away)
        return None if 200 <= heard.status < 300 else f"answered {heard.status}"
