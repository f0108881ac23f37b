"""The verdict: what was accepted, what the API says and what the cluster's audit log counted, held against each other.

Pure. An intended change is one step of one workflow writing its one field of its one target; it may be in the audit log
once, and its undo once, however many keys and attempts it took. What is set to a value that it has already is not
written again, so that the restart counts most: it writes a mark made from its key, and any second one is seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from workflow_service.faultkit.cluster import Change, Field, Target
from workflow_service.faultkit.load import Accepted
from workflow_service.faultkit.stories import Story

GRACE = timedelta(seconds=45)  # after `must_end_by`; the clocks of replicas may differ by 20 s
_FINAL_WITHOUT_CAUSE = frozenset({"completed"})


@dataclass(frozen=True, slots=True)
class Offence:
    """One broken promise: by which workflow (or alert, or target), and how."""

    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every broken promise; all empty is what the product promises."""

    lost: Sequence[Offence]
    stuck: Sequence[Offence]
    double: Sequence[Offence]
    uncaused: Sequence[Offence]
    untrue: Sequence[Offence]

    @property
    def lines(self) -> Mapping[str, Sequence[Offence]]:
        """The promises by their names, in the order in which they are printed."""
        return {name: getattr(self, name) for name in ("lost", "stuck", "double", "uncaused", "untrue")}

    @property
    def clean(self) -> bool:
        """Whether nothing was broken."""
        return not any(self.lines.values())


def judge(
    accepted: Iterable[Accepted], stories: Sequence[Story], changes: Sequence[Change], *, deaf: Sequence[Offence] = ()
) -> Verdict:
    """What was broken, by all that can be seen from outside; `deaf` are those that never answered a command."""
    about: dict[Target, list[Story]] = defaultdict(list)
    for story in stories:
        about[story.target].append(story)
    written: dict[Target, list[Change]] = defaultdict(list)
    for change in changes:
        written[change.target].append(change)
    return Verdict(
        lost=[*_lost(accepted, stories)],
        stuck=[*_stuck(stories), *deaf],
        double=[one for target, found in written.items() for one in _double(target, found, about[target])],
        uncaused=[*_uncaused(stories)],
        untrue=[one for target in {*about, *written} for one in _untrue(target, written[target], about[target])],
    )


def _lost(accepted: Iterable[Accepted], stories: Sequence[Story]) -> Iterator[Offence]:
    there = {story.workflow_id: story.target for story in stories}
    for one in accepted:
        if one.status >= 300:
            yield Offence(f"alert {one.alert.number}", f"was answered {one.status}: its sender drops it")
        elif one.workflow_id is None or there.get(one.workflow_id) != one.alert.target:
            yield Offence(f"alert {one.alert.number}", f"was accepted, but there is no workflow {one.workflow_id}")


def _stuck(stories: Sequence[Story]) -> Iterator[Offence]:
    for story in stories:
        if story.ended_at is None:
            yield Offence(story.workflow_id, f"is {story.status}, had to end by {story.must_end_by}")
        elif story.must_end_by is not None and story.ended_at > story.must_end_by + GRACE:
            yield Offence(story.workflow_id, f"ended at {story.ended_at}, had to end by {story.must_end_by}")


def _uncaused(stories: Sequence[Story]) -> Iterator[Offence]:
    for story in stories:
        if story.ended_at is not None and not story.reason:
            yield Offence(story.workflow_id, f"{story.status} without a reason")
        elif story.ended_at is not None and not story.cause and story.status not in _FINAL_WITHOUT_CAUSE:
            yield Offence(story.workflow_id, f"{story.status} ({story.reason}) without a cause")


def _double(target: Target, written: Sequence[Change], stories: Sequence[Story]) -> Iterator[Offence]:
    who = " ".join(story.workflow_id for story in stories) or f"{target.namespace}/{target.name}"
    steps = [step for story in stories for step in story.steps]
    intended = Counter(step.field for step in steps if step.tried)
    to_undo = Counter(step.field for step in steps if step.tried_to_undo)
    forth = Counter(change.field for change in written if not change.back)
    back = Counter(change.field for change in written if change.back)
    for field in Field:
        if forth[field] > max(1, intended[field]):
            yield Offence(who, f"{field} was changed {forth[field]} times, intended {intended[field]} times")
        if back[field] > max(1, to_undo[field]):
            yield Offence(who, f"{field} was changed back {back[field]} times, intended {to_undo[field]} times")
    for mark, times in Counter(change.value for change in written if change.field is Field.RESTARTED).items():
        if times > 1:
            yield Offence(who, f"one key restarted it {times} times (mark {mark})")


def _untrue(target: Target, written: Sequence[Change], stories: Sequence[Story]) -> Iterator[Offence]:
    """Where the journal and the audit log contradict each other."""
    who = " ".join(story.workflow_id for story in stories) or f"{target.namespace}/{target.name}"
    steps = [step for story in stories for step in story.steps]
    tried = {step.field for step in steps if step.tried}
    asked_back = {step.field for step in steps if step.tried_to_undo}
    known = {mark for step in steps if step.field is Field.RESTARTED for mark in step.marks}
    for change in written:
        if change.field not in tried or (change.field is Field.RESTARTED and change.value not in known):
            yield Offence(who, f"{change.field} was changed to {change.value!r}, of which no journal tells")
        if change.back and change.field not in asked_back:
            yield Offence(who, f"{change.field} was changed back, of which no journal tells")
    seen = {change.field for change in written if not change.back}
    for field in {step.field for step in steps if step.told} - seen:
        yield Offence(who, f"{field} was never changed, but the journal says so")
    if len(stories) == 1:
        yield from _standing(stories[0], written)


def _standing(story: Story, written: Sequence[Change]) -> Iterator[Offence]:
    """What is told to be undone does not stand any more."""
    last = {change.field: change for change in written}
    for step in story.steps:
        if step.undo == "undone" and step.field in last and not last[step.field].back:
            now = last[step.field].value
            yield Offence(story.workflow_id, f"{step.field} is told to be undone, and stands at {now!r}")
