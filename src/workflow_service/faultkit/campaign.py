"""One run of the fault kit, from its start to its verdict and exit code."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from random import Random

import aiohttp

from workflow_service.faultkit.calls import Silence
from workflow_service.faultkit.cluster import Cluster
from workflow_service.faultkit.faults import Tally, schedule
from workflow_service.faultkit.fleet import Fleet, fleet
from workflow_service.faultkit.injection import Injector
from workflow_service.faultkit.load import Load
from workflow_service.faultkit.orders import Order
from workflow_service.faultkit.processes import NotStarted
from workflow_service.faultkit.report import Report, as_json, as_text
from workflow_service.faultkit.settling import settled, stories
from workflow_service.faultkit.verdict import Offence, judge
from workflow_service.faultkit.workload import Alert, alerts

INTERRUPTED = 130  # exit code, as shells know it


def run(order: Order) -> int:
    """The whole campaign; 0 when every promise was kept, 1 when not, 2 when it could not go on, 130 on Ctrl-C."""
    directory = Path(tempfile.mkdtemp(prefix="faultkit-"))
    code = 1
    try:
        report = asyncio.run(_interruptible(order, directory))
        print(json.dumps(as_json(report), indent=1) if order.as_json else as_text(report))
        code = 0 if report.verdict.clean else 1
    except NotStarted as error:
        code = 2
        print(error, file=sys.stderr)
    except Silence as error:
        print(error, file=sys.stderr)
    except asyncio.CancelledError:
        code = INTERRUPTED
        print("interrupted; everything that was started is ended", file=sys.stderr)
    finally:
        if code in {0, INTERRUPTED} or not any(directory.glob("*.log")):
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print(f"logs: {directory}", file=sys.stderr)
    return code


async def _interruptible(order: Order, directory: Path) -> Report:
    """SIGINT and SIGTERM end the campaign in order; a second one does not disturb the cleaning up."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(_campaign(order, directory))

    def interrupt() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    return await task


async def _campaign(order: Order, directory: Path) -> Report:
    began, rng, tally = time.monotonic(), Random(order.seed), Tally()  # noqa: S311 - to be repeated, not to be secret
    found = alerts(rng, order.size.workflows)
    async with (
        fleet(order.size, directory, rng=_child(rng), tally=tally) as running,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session,
    ):
        cluster = Cluster(session, running.cluster.url)
        await cluster.add([alert.target for alert in found])
        addresses = [lambda replica=replica: replica.url for replica in running.replicas]
        load = Load(session, cluster, addresses, rng=_child(rng), at_once=order.size.at_once)
        injector = Injector(running, load.flow, tally, rng=_child(rng), tell=_tell)
        deaf = await _storm(running, load, injector, found, rng=_child(rng))
        _tell("everything is over, or stuck; asking what became of it")
        all_ = await stories(load)
        verdict = judge(load.flow.accepted.values(), all_, await cluster.changes(), deaf=deaf)
    return Report(
        verdict=verdict,
        tally=tally,
        stories=all_,
        ended_by_themselves=running.ended,
        seconds=time.monotonic() - began,
        command=order.command,
    )


async def _storm(running: Fleet, load: Load, injector: Injector, found: list[Alert], *, rng: Random) -> list[Offence]:
    """The load and the faults together, then quiet until everything is over; who never answered a command.

    Raises:
        NotStarted: something that was killed did not come back.
        Silence: replicas are up and answer nothing sensible.
    """
    planned = schedule(rng, len(found), injector.possible())
    try:
        async with asyncio.TaskGroup() as group:
            reviving = group.create_task(running.revive())
            sending = group.create_task(load.send(found, injector.may_send))
            await injector.run(planned)
            running.proxy.calm()
            _tell(f"no more faults; {len(load.flow.accepted)} of {len(found)} accepted, {len(load.flow.open)} open")
            await sending
            await load.orders_given()
            deaf = await settled(load, _tell)
            await running.proxy.on_time()
            reviving.cancel()
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from several
    return deaf


def _child(rng: Random) -> Random:
    """A stream of its own, so that who draws first does not change what the others draw."""
    return Random(rng.getrandbits(64))  # noqa: S311 - see above


def _tell(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)  # noqa: DTZ005 - a person's own clock
