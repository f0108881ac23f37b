"""What a drive hears: commands become events in the order they were given, and are answered with what was written.

So does the end of what its alerts are about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from workflow_service.domain import controls
from workflow_service.domain import events as ev
from workflow_service.domain.errors import StoreUnavailable
from workflow_service.domain.fold import fold
from workflow_service.domain.run_state import RunState
from workflow_service.domain.states import Verb
from workflow_service.ports import EventBus
from workflow_service.store import caused, commands, resolutions
from workflow_service.store.database import Database
from workflow_service.store.executions import prioritise


class Hearing:
    """The commands of one execution, as one drive hears them."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        execution_id: str,
        *,
        heard: asyncio.Event,
        clock: Callable[[], datetime],
    ) -> None:
        self._database, self._bus, self._execution_id, self._clock = database, bus, execution_id, clock
        self.heard = heard
        self._answers: dict[str, str | None] = {}
        self._priority: int | None = None  # that was set and is not committed yet
        self._resolved = False  # the end of its alerts was heard of, and that is not committed yet
        self._caused_at: datetime | None = None  # the mark of alerts that speak against it, likewise

    @property
    def owes_answers(self) -> bool:
        """Whether something was heard of which it is not committed yet that it was."""
        return bool(self._answers) or self._resolved or self._caused_at is not None

    async def news(self, state: RunState) -> list[ev.Event]:
        """What has been commanded since the last time, judged in the state that each command meets."""
        if not self.heard.is_set():
            return []
        self.heard.clear()
        try:
            given = await commands.unanswered(self._database, self._execution_id)
            marks = await resolutions.marks(self._database, self._execution_id)
            against = await self._against(marks, state)
        except StoreUnavailable:
            return []  # it will be heard again
        told: list[ev.Event] = []
        for command in given:
            if command.id in self._answers:
                continue
            now, why = self._clock(), controls.refusal(state, command)
            event: ev.Event = (
                ev.CommandApplied(now, command.id, command.verb, command.actor, command.reason, command.arguments)
                if why is None
                else ev.CommandRefused(now, command.id, command.verb, command.actor, why)
            )
            state = fold(state, event)
            told.append(event)
            self._answers[command.id] = why
            if why is None and command.verb is Verb.SET_PRIORITY:
                self._priority = int(command.arguments["priority"])
        resolved = marks is not None and marks.resolved_at is not None and not self._resolved
        return [*told, *against, *(self._end_of_alerts(state) if resolved else ())]

    async def _against(self, marks: resolutions.Marks | None, state: RunState) -> list[ev.Event]:
        """Alerts that speak against it, where they are news."""
        if marks is None or marks.caused_at is None or marks.caused_at == self._caused_at:
            return []
        found = await caused.of(self._database, marks.workflow_id)
        self._caused_at = marks.caused_at
        return [
            ev.AlertCaused(self._clock(), one.fingerprint, one.name, one.severity, one.since, one.over)
            for one in found
            if one not in state.caused
        ]

    def _end_of_alerts(self, state: RunState) -> list[ev.Event]:
        """Nothing, where that is known already or does not matter any more: it was heard all the same."""
        self._resolved = True
        return [ev.AlertResolved(self._clock())] if controls.hears_of_the_end(state) else []

    async def answer(self, connection: AsyncConnection) -> None:
        """Note the answers, and what follows for the place in line, in the transaction that journals the events."""
        if self._priority is not None:
            await prioritise(connection, self._execution_id, priority=self._priority)
        if self._resolved:
            await resolutions.heard(connection, self._execution_id)
        if self._caused_at is not None:
            await caused.heard(connection, self._execution_id, self._caused_at)
        for command_id, why in self._answers.items():
            await commands.answer(connection, command_id, refused_because=why, now=self._clock())

    async def tell(self) -> None:
        """Wake who waits for the answers, once they are committed."""
        for command_id in self._answers:
            await self._bus.publish(f"command:{command_id}")
        self._answers.clear()
        self._priority, self._resolved, self._caused_at = None, False, None
