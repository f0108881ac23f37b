"""What the engine costs beside plain DBOS steps: actions per second and CPU per action, measured in one run.

`python bench/engine.py [--quick] [--json FILE]`. Rounds are interleaved and medians shown, because what else a machine
does moves all numbers of a minute together; each measurement is a process of its own, because DBOS is process-wide.
A missed bar is printed as missed; the exit code is 0 as long as everything could be measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # so that this file can be run by its name

from bench.measuring import Reading, Task, arguments_of, reading_from  # noqa: E402 - needs the path above

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

ROUNDS = 3
CONCURRENCY = 50
LENGTHS = (3, 10, 100)
WORKFLOWS = {  # per engine and length: about two seconds of work each
    "plain_dbos": {3: 100, 10: 50, 100: 6},
    "ours": {3: 75, 10: 50, 100: 25},
}
STORES = ("sqlite", "postgresql")
FASTER = 5.0  # times the actions per second of plain DBOS steps, on PostgreSQL
CPU_MS = {3: 1.0, 10: 0.5, 100: 0.2}  # per action at most
LIMIT = 120  # seconds that one measurement may take

Case = tuple[str, int, str]  # store, length, engine


def main() -> None:
    """Measure, print, and write the medians where `--json` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one round with a quarter of the work")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every reading there")
    options = parser.parse_args()
    readings = measure_all(rounds=1 if options.quick else ROUNDS, share=4 if options.quick else 1)
    for line in report({case: typical(found) for case, found in readings.items()}):
        print(line)
    if options.json:
        rows = [
            {"store": store, "steps": steps, "engine": engine, **asdict(reading)}
            for (store, steps, engine), found in readings.items()
            for reading in found
        ]
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def measure_all(*, rounds: int, share: int) -> dict[Case, list[Reading]]:
    """Every case, `rounds` times; within a round the two engines take turns."""
    cases = [(store, steps, engine) for store in STORES for steps in LENGTHS for engine in WORKFLOWS]
    readings: dict[Case, list[Reading]] = {case: [] for case in cases}
    with databases() as server:
        for number in range(rounds):
            for case in cases:
                print(f"round {number + 1}/{rounds}: {' '.join(map(str, case))}", end="\033[K\r", file=sys.stderr)
                readings[case].append(measure_case(case, server, share))
    print(end="\033[K", file=sys.stderr)
    return readings


def measure_case(case: Case, server: Postgres, share: int) -> Reading:
    """One measurement, in a process and a database of its own.

    Raises:
        SystemExit: the process failed.
    """
    store, steps, engine = case
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        url = server.database() if store == "postgresql" else f"sqlite:///{directory}/bench.db"
        task = Task(url, steps, max(1, WORKFLOWS[engine][steps] // share), CONCURRENCY)
        command = [sys.executable, "-m", f"bench.{engine}", *arguments_of(task)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            sys.exit(f"{case} took more than {LIMIT} s")
    if done.returncode != 0:
        sys.exit(f"{case} failed:\n{done.stderr[-4000:]}")
    return reading_from(done.stdout)


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


def report(found: Mapping[Case, Reading]) -> Iterator[str]:
    """The table, then the bars."""
    yield f"{'':10} {'N':>4}   {'actions/s':^25}   {'CPU ms per action':^17}   {'start ms p50 / p99':>19}"
    yield f"{'':10} {'':4}   {'DBOS':>8} {'ours':>8} {'ratio':>7}   {'DBOS':>8} {'ours':>8}   {'ours':>19}"
    for store in STORES:
        for steps in LENGTHS:
            dbos, ours = found[store, steps, "plain_dbos"], found[store, steps, "ours"]
            yield (
                f"{store:10} {steps:4}   {dbos.per_second:8.0f} {ours.per_second:8.0f} {ratio(dbos, ours):6.1f}x"
                f"   {dbos.cpu_ms:8.2f} {ours.cpu_ms:8.2f}   {ours.start_p50:9.0f} / {ours.start_p99:.0f}"
            )
        few, many = (found[store, steps, "ours"] for steps in (LENGTHS[0], LENGTHS[-1]))
        further = (many.cpu_ms * LENGTHS[-1] - few.cpu_ms * LENGTHS[0]) / (LENGTHS[-1] - LENGTHS[0])
        first = few.cpu_ms * LENGTHS[0] - further * LENGTHS[0]
        yield f"{'':10}        ours: {first:.1f} ms CPU per workflow and {further:.2f} ms per action on top"
    yield from bars(found)


def bars(found: Mapping[Case, Reading]) -> Iterator[str]:
    """What was to be reached, and whether it was."""
    for steps in LENGTHS:
        dbos, ours = found["postgresql", steps, "plain_dbos"], found["postgresql", steps, "ours"]
        times = ratio(dbos, ours)
        yield bar(times >= FASTER, f"N={steps}: {times:.1f}x plain DBOS on PostgreSQL, at least {FASTER:.0f}x wanted")
        most = CPU_MS[steps]
        yield bar(ours.cpu_ms <= most, f"N={steps}: {ours.cpu_ms:.2f} ms CPU per action, at most {most} ms wanted")


def bar(held: bool, what: str) -> str:
    """One line about one bar."""
    return f"{'held  ' if held else 'MISSED'} {what}"


def ratio(dbos: Reading, ours: Reading) -> float:
    """How many times the actions per second of plain DBOS."""
    return ours.per_second / dbos.per_second


if __name__ == "__main__":
    main()
