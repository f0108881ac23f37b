"""The engine beside others, measured in one interleaved run: plain DBOS steps, ours, the journal alone, Restate.

`python -m bench.engine [--quick] [--json FILE]`. Rounds are interleaved and medians shown, because what else a machine
does moves all numbers of a minute together; each measurement is a process of its own, because DBOS is process-wide.
What is not reached is printed as such; the exit code is 0 as long as everything of ours could be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench import restate_parts
from bench.measuring import Reading, Task, arguments_of, readings_from
from bench.report import LENGTHS, START, STORES, Case, report

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
CONCURRENCY = 50
WORKFLOWS = {  # per engine and length: about two seconds of work each, and at 100 steps enough to be 25 at once
    "plain_dbos": {3: 150, 10: 50, 100: 25},
    "our_engine": {3: 300, 10: 150, 100: 25},
    "ours": {3: 150, 10: 100, 100: 25},
    "raw_journal": {3: 900, 10: 400, 100: 50},
    "restate": {3: 150, 10: 100, 100: 25},
}
LIMIT = 180  # seconds that one measurement may take


def main() -> None:
    """Measure, print, and write every reading where `--json` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one round with a quarter of the work")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every reading there")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.python_compiler()}, {Path(sys.executable).resolve()}")
    missing = why_no_restate()
    cases = all_cases(restate=missing is None)
    readings = measure_all(cases, rounds=1 if options.quick else ROUNDS, share=4 if options.quick else 1)
    for line in report({case: typical(found) for case, found in readings.items()}, no_restate=missing):
        print(line)
    if options.json:
        rows = [
            {"store": store, "steps": steps, "engine": engine, **asdict(reading)}
            for (store, steps, engine), found in readings.items()
            for reading in found
        ]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def why_no_restate() -> str | None:
    """Why Restate cannot be measured here; None when it can."""
    try:
        restate_parts.fetch()
    except restate_parts.NotToBeHad as error:
        return str(error)
    return None


def all_cases(*, restate: bool) -> list[Case]:
    """What is measured in one round, in turn. Restate keeps its state in a store of its own."""
    ours = [engine for engine in WORKFLOWS if engine != "restate"]
    cases: list[Case] = [(store, steps, engine) for store in STORES for steps in LENGTHS for engine in ours]
    cases += [("restate", steps, "restate") for steps in LENGTHS if restate]
    return [*cases, *START]


def measure_all(cases: list[Case], *, rounds: int, share: int) -> dict[Case, list[Reading]]:
    """Every case, `rounds` times; within a round the engines take turns."""
    readings: dict[Case, list[Reading]] = {case: [] for case in cases}
    with databases() as server:
        for number in range(rounds):
            for case in cases:
                if case == START[1]:
                    continue  # measured together with the first one
                print(f"round {number + 1}/{rounds}: {' '.join(map(str, case))}", end="\033[K\r", file=sys.stderr)
                if case == START[0]:
                    for one, reading in zip(START, measure_start(server), strict=True):
                        readings[one].append(reading)
                else:
                    readings[case].append(measure_case(case, server, share))
    print(end="\033[K", file=sys.stderr)
    return readings


def measure_case(case: Case, server: Postgres, share: int) -> Reading:
    """One measurement of an engine, in a process and a database of its own."""
    store, steps, engine = case
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        url = server.database() if store == "postgresql" else f"sqlite:///{directory}/bench.db"
        task = Task(url, steps, max(1, WORKFLOWS[engine][steps] // share), CONCURRENCY)
        environment = restate_parts.environment() if engine == "restate" else dict(os.environ)
        (reading,) = run(f"bench.{engine}", arguments_of(task), environment)
    return reading


def measure_start(server: Postgres) -> list[Reading]:
    """How long alerts wait for their first call, over HTTP: one reading per load."""
    return run("bench.start", [server.database()], dict(os.environ))


def run(module: str, arguments: list[str], environment: dict[str, str]) -> list[Reading]:
    """What a process measured.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"{module} {' '.join(arguments[1:])} took more than {LIMIT} s")
    if done.returncode != 0:
        sys.exit(f"{module} {' '.join(arguments[1:])} failed:\n{done.stderr[-4000:]}")
    return readings_from(done.stdout)


@contextmanager
def databases() -> Iterator[Postgres]:
    """A PostgreSQL that lives as long as the block."""
    from tests.support.postgres import postgres

    with postgres() as server:
        yield server


def typical(readings: list[Reading]) -> Reading:
    """The median of every number."""
    rows = [asdict(reading) for reading in readings]
    middle = {name: median(row[name] for row in rows) for name in rows[0]}
    return Reading(**{**middle, "actions": int(middle["actions"])})


if __name__ == "__main__":
    main()
