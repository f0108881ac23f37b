"""A whole execution in a test's hands: an engine that obeys `decide`, and a world that answers as the test says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.unit.factories import CHANGE, a_graph, a_step
from tests.unit.obeying import MANY, Obeying
from workflow_service.domain import events as ev
from workflow_service.domain import retry
from workflow_service.domain.bounds import step_deadline
from workflow_service.domain.catalogue import ActionType, Catalogue
from workflow_service.domain.controls import Command, hears_of_the_end, refusal
from workflow_service.domain.errors import ErrorClass, IllegalTransition, InvalidPlan
from workflow_service.domain.fold import fold, fold_all
from workflow_service.domain.mending import Mended, Remedy, mended
from workflow_service.domain.plan import Step
from workflow_service.domain.states import ExecutionStatus, Verb
from workflow_service.engine import recovering
from workflow_service.ports import NoRemedy

OFFERED = Catalogue("sha256:test", {"scale_deployment": ActionType("scale_deployment", reversible=True)})


class PretendEngine(Obeying):
    """One execution, and what the world answers: it succeeds, fails, is lost, is seen; people speak; time passes."""

    def succeed(self, step: str, *, changed: bool = True, undoable: bool = True) -> None:
        """The attempt, or the undo, is done."""
        key = self.live.pop(step)
        if self.taking_back:
            self.note(ev.UndoSucceeded(self.now, step, key))
            return
        changes = (CHANGE,) if changed else ()
        planned = self.shape.steps[step]
        prove = self.now + timedelta(seconds=planned.settle) if planned.postconditions else None
        answer = ev.StepSucceeded(self.now, step, key, changes=changes, undo_available=changed and undoable)
        self.note(replace(answer, prove_from=prove))

    def fail(
        self, step: str, error: ErrorClass, *, changed: bool = False, jitter: float = 0.5, message: str = "no"
    ) -> None:
        """The attempt, or the undo, is known to have failed."""
        key = self.live.pop(step)
        attempt = next(attempt for attempt in self.state.steps[step].attempts if attempt.key == key)
        tries = attempt.undo_tries if self.taking_back else attempt.number
        policy, bound = self.graph.steps[step].retry, self._bound(step)
        again = retry.retry_at(policy, error=error, attempt=tries, now=self.now, jitter=jitter, before=bound)
        if self.taking_back:
            self.note(ev.UndoFailed(self.now, step, key, error, "no", retry_at=again))
            return
        changes = (CHANGE,) if changed else ()
        event = ev.AttemptFailed(
            self.now, step, key, error, message, retry_at=again, changes=changes, undo_available=changed
        )
        self.note(event)

    def _bound(self, step: str) -> datetime:
        if self.taking_back and self.state.rollback_started_at is not None:
            return self.state.rollback_started_at + timedelta(seconds=self.plan.undo_timeout)
        bound = step_deadline(self.graph, self.state, step)
        assert bound is not None
        return bound

    def unsent(self, step: str, *, hold: float) -> None:
        """The call did not arrive; nothing is sent for `hold` seconds."""
        key = self.live.pop(step)
        self.note((ev.UndoUnsent if self.taking_back else ev.AttemptUnsent)(self.now, step, key))
        if hold:
            self.hold_until = self.now + timedelta(seconds=hold)

    def lose(self, step: str) -> None:
        """Nobody can say what became of the attempt; an undo of which this is true has failed."""
        if self.taking_back:
            self.fail(step, ErrorClass.UNKNOWN)
            return
        self.note(ev.StepUnknown(self.now, step, self.live.pop(step), "another ledger"))

    def see(self, step: str, *, held: bool = True) -> None:
        """What is looked at is found so, or not."""
        look = self.looks.pop(step)
        evidence = ({"kind": "postcondition" if look.after else "precondition", "held": held},)
        match look.after, held:
            case True, True:
                self.note(ev.StepProved(self.now, step, evidence=evidence))
            case True, False:
                self.note(ev.StepFailed(self.now, step, "postcondition_failed", "not so", evidence))
            case False, True:
                self.note(ev.Cleared(self.now, step, evidence))
            case _:
                self.note(ev.StepBlocked(self.now, step, "not so", evidence))

    def see_nothing(self, step: str, *, hold: float) -> None:
        """Nobody answers who could look; before the step has begun, that is for later."""
        if self.looks[step].after:
            self.see(step, held=False)
            return
        del self.looks[step]
        self.hold_until = self.now + timedelta(seconds=hold)

    def mend(self, *steps: Step, option: str = "another") -> bool:
        """Somebody knows another way; whether it is taken."""
        return self._answer(Remedy(option, steps or (a_step("cure"),), "the test knows it", "test"))

    def know_nothing(self, reason: str = "no_recovery_option") -> None:
        """Nobody knows another way, or it is not the time for one."""
        self._answer(NoRemedy(reason, "the test says so"))

    def _answer(self, said: Remedy | NoRemedy) -> bool:
        assert self.asked is not None
        asked = recovering.asking(self.asked, self.plan, self.state, self.alert)
        self.asked = None
        answer: Mended | NoRemedy = said if isinstance(said, NoRemedy) else self._mended(asked, said)
        told = recovering.answered(asked, answer, self.state, self.now)
        if told.revision is not None:
            self.graph = told.revision.graph.grown(self.state.items)
        for event in told.events:
            self.note(event)
        return told.revision is not None

    @staticmethod
    def _mended(asked: recovering.Asking, remedy: Remedy) -> Mended | NoRemedy:
        appeal = asked.appeal
        try:
            return mended(appeal.plan, appeal.failure.step, remedy, OFFERED, attempt=appeal.attempt)
        except InvalidPlan as why:
            return NoRemedy("recovery_invalid", str(why))

    def resolve(self) -> None:
        """The alert is over; nobody hears of it twice, nor once how it ends is known."""
        if hears_of_the_end(self.state):
            self.note(ev.AlertResolved(self.now))

    def hear_again(self, event: ev.Event) -> None:
        """An answer comes a second time, or far too late: it is refused and changes nothing."""
        before = self.state
        try:
            fold(self.state, event)
        except IllegalTransition:
            assert self.state == before
        else:
            raise AssertionError(f"{event} was heard twice")

    def command(self, verb: Verb, **arguments: str | bool | float) -> str | None:
        """Somebody says what is to be done: obeyed or refused, and journalled, unless all is over."""
        order = Command(id=f"c{len(self.journal)}", verb=verb, actor="ana", arguments=arguments)
        why, before = refusal(self.state, order), self.state
        if self.state.final:
            return why
        if why is None:
            self.note(ev.CommandApplied(self.now, order.id, verb, order.actor, "told to", arguments))
        else:
            self.note(ev.CommandRefused(self.now, order.id, verb, order.actor, why))
            assert self.state == before, "a refused command had an effect"
        return why

    def asking(self) -> list[str]:
        """The steps that wait for a person's word."""
        return sorted(name for name, step in self.state.steps.items() if step.asking)

    def after(self, seconds: float) -> PretendEngine:
        """The same engine when so much time has passed and it has looked again."""
        self.wait(seconds)
        self.obey()
        return self

    def stands(self, status: ExecutionStatus) -> bool:
        """Whether the execution has that status now."""
        return self.state.status is status

    def statuses(self) -> dict[str, str]:
        """Where each step stands."""
        return {name: step.status.value for name, step in self.state.steps.items()}

    def crash(self) -> None:
        """The drive dies; the next one knows the journal only."""
        self.live.clear()
        self.looks.clear()
        self.asked = None
        self.hold_until = None
        self.state = fold_all(self.journal)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def drive_to_the_end(self) -> None:
        """From here on all goes well: the execution must end."""
        self.taken = self.delays = False
        for _ in range(MANY):
            self.obey()
            if self.state.final:
                return
            if self.says_yes and self.asking() and self.command(Verb.APPROVE, step=self.asking()[0]) is None:
                continue
            if self.asked:
                self.mend(option=f"at the end {len(self.journal)}")
            elif self.looks:
                self.see(min(self.looks))
            elif self.live:
                self.succeed(next(iter(self.live)))
            else:
                assert self.wake_at is not None
                self.now = self.wake_at
        raise AssertionError("the execution never ended")


def engine_of(*steps: Step, **values: Any) -> PretendEngine:
    """An engine that has begun with a plan of these steps."""
    engine = PretendEngine(a_graph(*steps, **values))
    engine.obey()
    return engine
