"""What `bench.engine` prints: one table, then the bars of the design, each with `pass` or `falls short by`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.measuring import Reading

LENGTHS = (3, 10, 100)
STORES = ("sqlite", "postgresql")
ENGINES = {
    "plain_dbos": "plain DBOS steps",
    "our_engine": "ours, from an execution's durable start to its end",
    "ours": "ours, from an alert to its execution's end",
    "raw_journal": "our journal alone",
    "restate": "Restate, in its own store",
}
FASTER = 5.0  # times the actions per second of plain DBOS steps, on PostgreSQL
AS_FAST = 1.0  # times Restate's, at 10 steps
CPU_MS = {3: 1.0, 10: 0.5, 100: 0.2}  # per action at most
CPU_OF_DBOS = {3: 4.0, 10: 2.7, 100: 2.2}  # ms per plain step on the machine that those bars were set on
START_P50, START_P99 = 150.0, 500.0  # ms from an alert to its first call, with 50 at once

Case = tuple[str, int, str]  # store, length, engine
START: tuple[Case, Case] = (("postgresql", 50, "steady"), ("postgresql", 50, "burst"))


def report(found: Mapping[Case, Reading], *, no_restate: str | None) -> Iterator[str]:
    """The table, then the bars."""
    yield f"{'':52} {'N':>4} {'actions/s':>10} {'x DBOS':>7} {'CPU ms per action':>18}"
    for store in (*STORES, "restate"):
        yield from _rows(found, store)
    if no_restate is not None:
        yield f"restate: not measured: {no_restate}"
    yield ""
    for engine in ("our_engine", "ours"):
        yield f"{ENGINES[engine]}, PostgreSQL, 50 at once:"
        yield from _speed(found, engine)
    yield from _against_restate(found, no_restate)
    yield "an alert's way over HTTP to the executor's first call, PostgreSQL:"
    yield from _start(found)


def _rows(found: Mapping[Case, Reading], store: str) -> Iterator[str]:
    for engine, name in ENGINES.items():
        for steps in LENGTHS:
            reading = found.get((store, steps, engine))
            if reading is None:
                continue
            dbos = found[store if store in STORES else "postgresql", steps, "plain_dbos"]
            where = f"{store}: {name}" if store in STORES else name
            times = f"{reading.per_second / dbos.per_second:6.1f}x"
            yield f"{where:64}"[:64] + f" {steps:4} {reading.per_second:10.0f} {times:>7} {reading.cpu_ms:18.2f}"


def _speed(found: Mapping[Case, Reading], engine: str) -> Iterator[str]:
    for steps in LENGTHS:
        dbos, ours = found["postgresql", steps, "plain_dbos"], found["postgresql", steps, engine]
        times = ours.per_second / dbos.per_second
        yield at_least(times, FASTER, f"N={steps}: {times:.1f}x plain DBOS steps", f"{FASTER:.0f}x")
        most = CPU_MS[steps]
        yield at_most(ours.cpu_ms, most, f"N={steps}: {ours.cpu_ms:.2f} ms CPU per action", f"{most} ms")
        share, wanted = ours.cpu_ms / dbos.cpu_ms, most / CPU_OF_DBOS[steps]
        what = f"N={steps}: {share:.1%} of the CPU of a plain DBOS step, whatever this machine is"
        yield at_most(share, wanted, what, f"{wanted:.1%} (as where the bar was set)")


def _against_restate(found: Mapping[Case, Reading], no_restate: str | None) -> Iterator[str]:
    if no_restate is not None:
        yield f"  not measured: Restate's actions per second ({no_restate})"
        return
    for engine in ("our_engine", "ours"):
        times = found["postgresql", 10, engine].per_second / found["restate", 10, "restate"].per_second
        yield at_least(times, AS_FAST, f"N=10: {times:.1f}x Restate, {ENGINES[engine]}", f"{AS_FAST:.0f}x")


def _start(found: Mapping[Case, Reading]) -> Iterator[str]:
    loads = ("50 in flight, each action 2 s", "50 at the same instant")
    for case, load in zip(START, loads, strict=True):
        reading = found[case]
        yield at_most(reading.start_p50, START_P50, f"{load}: p50 {reading.start_p50:.0f} ms", f"{START_P50:.0f} ms")
        yield at_most(reading.start_p99, START_P99, f"{load}: p99 {reading.start_p99:.0f} ms", f"{START_P99:.0f} ms")


def at_least(value: float, bar: float, what: str, wanted: str) -> str:
    """One line about a number that is to be large."""
    verdict = "pass" if value >= bar else f"falls short by {100 * (bar - value) / bar:.0f} %"
    return f"  {verdict}: {what}, at least {wanted} wanted"


def at_most(value: float, bar: float, what: str, wanted: str) -> str:
    """One line about a number that is to be small."""
    verdict = "pass" if value <= bar else f"falls short by {100 * (value - bar) / bar:.0f} %"
    return f"  {verdict}: {what}, at most {wanted} wanted"
