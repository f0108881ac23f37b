"""How long the executions of a dead and of a frozen replica stand still: two replicas as processes, default settings.

`python -m bench.takeover`. One replica has all executions, each in the middle of an action; then it is killed, or
frozen and thawed. The clock runs until another replica owns the execution. Afterwards the cluster's audit log must
show each change once, what the thawed replica does included.
"""

from __future__ import annotations

import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from bench.measuring import quantile
from bench.report import at_most
from tests.support.postgres import postgres
from tests.support.processes import Program, Stack, eventually

from workflow_service.store.tables import executions

EXECUTIONS = 30
SLOW = 8.0  # seconds that the cluster takes for each change, so that all are in the middle of it
DEAD, FROZEN = 5.0, 10.0  # seconds in which the executions have to move
LOOK = 0.02  # seconds between looks


def main() -> None:
    """Measure and print both."""
    with postgres() as server, tempfile.TemporaryDirectory(prefix="bench-takeover-") as directory:
        url = server.database()
        with _pair(Path(directory), url) as (stack, other), _looking(url) as database:
            dead = _strike(stack, database, "dead", signal.SIGKILL)
            print(at_most(max(dead), DEAD, _line("dead", dead), f"{DEAD:g} s"))
            _every_change_once(stack, other)
            stack.workflow.start("/readyz")
            frozen = _strike(stack, database, "frozen", signal.SIGSTOP)
            print(at_most(max(frozen), FROZEN, _line("frozen", frozen), f"{FROZEN:g} s"))
            stack.workflow.signal(signal.SIGCONT)
            _every_change_once(stack, other)
            print("each change once in the cluster's audit log, with the thawed replica back")


def _line(what: str, seconds: list[float]) -> str:
    middle, last = quantile(seconds, 0.5), max(seconds)
    return f"{what} replica: {len(seconds)} executions moved, the middle one in {middle:.1f} s, all in {last:.1f} s"


@contextmanager
def _pair(directory: Path, url: str) -> Iterator[tuple[Stack, Program]]:
    with Stack(directory, database_url=url, EXECUTE_WAIT="1s") as stack:
        other = stack.workflow.twin(log=directory / "other.log")
        other.start("/readyz")
        try:
            yield stack, other
        finally:
            other.kill()


@contextmanager
def _looking(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _strike(stack: Stack, database: sa.Connection, what: str, number: signal.Signals) -> list[float]:
    """The seconds after which each execution of the struck replica was another's."""
    names = [f"{what}-{index}" for index in range(EXECUTIONS)]
    stack.add_deployments("production", names)
    slow = {"match": {"verb": "patch", "resource": "deployments"}, "delay_seconds": SLOW, "times": EXECUTIONS}
    stack.http.post(f"{stack.sandbox.url}/sandbox/faults", json=slow)
    for name in names:
        alert = {"name": f"HighCPUUsage-{what}", "severity": "critical", "namespace": "production"}
        stack.execute({**alert, "resource": f"deployment/{name}"}, prefer="respond-async")
    owned = eventually(lambda: _all_begun(database), "all are in the middle of it")
    struck, moved = time.perf_counter(), dict[str, float]()
    stack.workflow.signal(number)
    while len(moved) < len(owned):
        now = time.perf_counter() - struck
        for key, owner in _owners(database).items():
            if owner not in {None, owned.get(key)}:
                moved.setdefault(key, now)
        if now > 10 * FROZEN:
            raise SystemExit(f"{len(owned) - len(moved)} executions did not move")
        time.sleep(LOOK)
    return [*moved.values()]


def _all_begun(database: sa.Connection) -> Mapping[str, str | None]:
    found = _owners(database)
    return found if len(found) == EXECUTIONS and None not in found.values() else {}


def _owners(database: sa.Connection) -> dict[str, str | None]:
    """Of all that has begun an action and is not over."""
    query = sa.select(executions.c.id, executions.c.owner).where(
        executions.c.ended_at.is_(None), executions.c.current_action.is_not(None)
    )
    return {row.id: row.owner for row in database.execute(query)}


def _every_change_once(stack: Stack, other: Program) -> None:
    """Wait until all are over; each deployment was changed once."""

    def over() -> bool:
        found = stack.http.get(f"{other.url}/api/v1/workflows", params={"limit": 200}).json()["workflows"]
        return all(one["ended_at"] for one in found)

    eventually(over, "all workflows are over", within=90)
    changed = Counter(write["name"] for write in stack.effects() if write["resource"] == "deployments")
    if set(changed.values()) != {1}:
        raise SystemExit(f"changed more than once: {[name for name, times in changed.items() if times > 1]}")


if __name__ == "__main__":
    main()
