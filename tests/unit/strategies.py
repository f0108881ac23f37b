"""Hypothesis strategies for plans: random DAGs with alternatives and every answer to failure."""

from dataclasses import replace

from hypothesis import strategies as st

from tests.unit.factories import a_plan, an_action
from workflow_service.domain.errors import ErrorClass, InvalidPlan
from workflow_service.domain.graph import Graph, validate
from workflow_service.domain.plan import OnFailure, Plan, RetryPolicy, Step

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
    """The graph of a random sound plan."""
    return plans(max_steps=max_steps).map(validate)
