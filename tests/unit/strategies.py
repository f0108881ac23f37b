"""Hypothesis strategies for plans: random DAGs with alternatives, every answer to failure and every kind of step."""

from dataclasses import replace

from hypothesis import strategies as st

from tests.unit.factories import a_plan, an_action
from workflow_service.domain.errors import ErrorClass, InvalidPlan
from workflow_service.domain.failure_class import FailureClass
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.plan import (
    ByClass,
    Condition,
    OnFailure,
    OnResolved,
    Phase,
    Plan,
    RetryPolicy,
    Step,
    StepKind,
)

_PLAIN = [OnFailure.SKIP, OnFailure.SKIP, OnFailure.STOP, OnFailure.ROLLBACK, OnFailure.ROLLBACK]

retries = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 2),
    first_delay=st.sampled_from([0.0, 1.0, 5.0]),
    factor=st.sampled_from([1.0, 2.0]),
    max_delay=st.sampled_from([0.0, 4.0, 30.0]),
    retry_on=st.sampled_from([(), (ErrorClass.TRANSIENT,), (ErrorClass.TRANSIENT, ErrorClass.THROTTLED)]),
)


@st.composite
def dags(draw: st.DrawFn, *, max_steps: int = 7) -> tuple[Step, ...]:
    """The steps of a sound plan; a step needs earlier ones only, an alternative stands later than its primary."""
    size = draw(st.integers(1, max_steps))
    names = [f"s{index}" for index in range(size)]
    order = draw(st.one_of(st.just(names), st.permutations(names)))  # plan order need not be topological
    steps = [_step(draw, names, index) for index in range(size)]
    taken: set[str] = set()
    for index in range(size - 1):
        free = [name for name in names[index + 1 :] if name not in taken]
        if draw(st.booleans()) and free:
            steps[index] = replace(
                steps[index], on_failure=OnFailure.ALTERNATIVE, alternative=draw(st.sampled_from(free))
            )
            if _sound(steps):
                taken.add(str(steps[index].alternative))
            else:  # the alternative itself waits for its primary
                steps[index] = replace(steps[index], on_failure=draw(st.sampled_from(_PLAIN)), alternative=None)
    return tuple(sorted(steps, key=lambda step: order.index(step.id)))


def _step(draw: st.DrawFn, names: list[str], index: int) -> Step:
    return Step(
        id=names[index],
        action=an_action(),
        needs=tuple(draw(st.lists(st.sampled_from(names[:index]), max_size=3, unique=True))) if index else (),
        on_failure=draw(st.sampled_from(_PLAIN)),
        critical=draw(st.booleans()),
        retry=draw(retries),
        priority=draw(st.integers(1, 9)),
        deadline=draw(st.sampled_from([20.0, 300.0])),
        estimated_duration=draw(st.sampled_from([None, 1.0, 10.0])),
    )


def _sound(steps: list[Step]) -> bool:
    try:
        validate(a_plan(*steps))
    except InvalidPlan:
        return False
    return True


@st.composite
def plans(draw: st.DrawFn, *, max_steps: int = 7) -> Plan:
    """A sound plan: a random DAG with random limits."""
    return a_plan(
        *draw(dags(max_steps=max_steps)),
        max_parallel=draw(st.integers(1, 4)),
        timeout=draw(st.sampled_from([30.0, 600.0])),
        undo_timeout=draw(st.sampled_from([30.0, 600.0])),
    )


def graphs(*, max_steps: int = 7) -> st.SearchStrategy[Graph]:
    """The graph of a random sound plan of actions."""
    return plans(max_steps=max_steps).map(validate)


# Expressions whose value everybody knows (the alert is factories.ALERT); the last two have none.
TRUE = [None, None, None, "true", "alert.severity == 'critical'"]
OTHER = ["false", "alert.labels.nowhere == 'x'", "1 / 0 == 1"]
ITEMS = ["[]", "[1]", "[1, 2, 3]", "['a', 'b', 'c', 'd', 'e']"]
_HELD = Condition("true")
_KINDS = [*[StepKind.ACTION] * 5, StepKind.WAIT, StepKind.CHECK, StepKind.APPROVAL, StepKind.TEMPLATE]


@st.composite
def whole_plans(draw: st.DrawFn, *, calm: bool = False, max_steps: int = 5) -> Plan:
    """A sound plan of every kind of step, in every phase; a calm one has nothing in it that fails by itself."""
    steps = [_whole(draw, step, depth=1, calm=calm) for step in draw(dags(max_steps=max_steps))]
    for letter, phase in (("v", Phase.VERIFY), ("f", Phase.FINALLY)):
        if draw(st.booleans()):
            steps += [_placed(draw, step, letter, phase, calm) for step in draw(dags(max_steps=2))]
    return a_plan(
        *steps,
        max_parallel=draw(st.integers(1, 4)),
        timeout=draw(st.sampled_from([600.0] if calm else [30.0, 600.0])),
        undo_timeout=draw(st.sampled_from([30.0, 600.0])),
    )


def whole_graphs(*, calm: bool = False, max_steps: int = 5) -> st.SearchStrategy[Graph]:
    """The graph of a random sound plan of every kind of step."""
    return whole_plans(calm=calm, max_steps=max_steps).map(validate)


_CLASS_ANSWERS = [None, None, None, OnFailure.STOP, OnFailure.ROLLBACK]
_BY_CLASS = st.builds(
    ByClass, on_failure=st.sampled_from(_CLASS_ANSWERS), recover=st.sampled_from([True, True, True, False])
)


@st.composite
def recoverable_graphs(draw: st.DrawFn) -> Graph:
    """The graph of a random sound plan whose failures of class high are recovered, as a rule; other classes vary."""
    plan = draw(st.one_of(plans(max_steps=5), whole_plans(max_steps=4)))
    return validate(replace(plan, steps=tuple(_recoverable(draw, step) for step in plan.steps)))


def _recoverable(draw: st.DrawFn, step: Step) -> Step:
    if step.on_failure is OnFailure.SKIP and draw(st.integers(0, 4)):
        step = replace(step, on_failure=draw(st.sampled_from([OnFailure.STOP, OnFailure.ROLLBACK])))
    others = draw(st.dictionaries(st.sampled_from(FailureClass), _BY_CLASS, max_size=2))
    return replace(step, by_class={FailureClass.HIGH: draw(_BY_CLASS), **others})


def any_graphs() -> st.SearchStrategy[Graph]:
    """The graph of a random sound plan, of actions only or of everything, whatever it makes of a resolved alert."""
    return st.builds(_resolving, st.one_of(graphs(), whole_graphs()), st.sampled_from(OnResolved))


def _resolving(graph: Graph, answer: OnResolved) -> Graph:
    return validate(replace(graph.plan, on_resolved=answer))


def _placed(draw: st.DrawFn, step: Step, letter: str, phase: Phase, calm: bool) -> Step:
    """A step of a later phase, where nobody is asked for approval."""
    needs = tuple(f"{letter}{need}" for need in step.needs)
    other = f"{letter}{step.alternative}" if step.alternative else None
    moved = replace(step, id=f"{letter}{step.id}", needs=needs, alternative=other)
    return replace(_whole(draw, moved, depth=3, calm=calm), phase=phase)


def _whole(draw: st.DrawFn, step: Step, *, depth: int, calm: bool) -> Step:
    """The step as one of a random kind; at depth 3 neither a template nor an approval."""
    kind = draw(st.sampled_from(_KINDS if depth < 3 else _KINDS[:-2]))
    when = draw(st.sampled_from([*TRUE, *([] if calm else OTHER)]))
    step = replace(step, kind=kind, when=when)
    match kind:
        case StepKind.ACTION:
            step = _acting(draw, step)
        case StepKind.WAIT:
            step = replace(step, action=None, wait=draw(st.sampled_from([1.0, 45.0])))
        case StepKind.CHECK:
            step = replace(step, action=None, postconditions=(_HELD,))
        case StepKind.APPROVAL:
            answer = draw(st.sampled_from([OnFailure.STOP, OnFailure.ROLLBACK, OnFailure.SKIP]))
            step = replace(step, action=None, on_failure=answer, alternative=None)
        case StepKind.TEMPLATE:
            inner = draw(dags(max_steps=3))
            inside = tuple(_whole(draw, one, depth=depth + 1, calm=calm) for one in inner)
            step = replace(step, action=None, steps=inside, parameters={"app": "${{ alert.labels.app }}"})
    return _each(draw, step, calm)


def _acting(draw: st.DrawFn, step: Step) -> Step:
    before, after = draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([0, 0, 1]))
    settle = draw(st.sampled_from([0.0, 5.0])) if after else 0.0
    named = an_action(parameters={"app": "${{ alert.labels.app }}"}) if draw(st.booleans()) else step.action
    lasting = replace(_HELD, within=draw(st.sampled_from([0.0, 10.0])))
    return replace(
        step, action=named, preconditions=(_HELD,) * before, postconditions=(lasting,) * after, settle=settle
    )


def _each(draw: st.DrawFn, step: Step, calm: bool) -> Step:
    if step.kind not in {StepKind.ACTION, StepKind.CHECK, StepKind.TEMPLATE} or draw(st.integers(0, 4)):
        return step
    items = draw(st.sampled_from(ITEMS[calm:]))
    return replace(step, for_each=items, max_parallel=draw(st.integers(1, 3)))
