"""Nothing is done twice and nothing is left open, whatever the wire to the executor does to single messages.

Every test counts in the cluster's own audit log. A restart writes another mark for every key, so that a second order
under any other key would show; scaling can be undone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.processes import eventually
from tests.support.wire import Fate, Wire
from tests.support.wired_stack import Bench, step

pytestmark = [pytest.mark.durability, pytest.mark.timeout(120), pytest.mark.requirement("BR-WF-001", "BR-WF-004")]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One stack for this module."""
    with Wire() as wire, Bench(tmp_path_factory.mktemp("effects"), wire) as bench:
        yield bench


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """The stack, with a wire that does what it should."""
    running.wire.seen.clear()
    yield running
    running.wire.calm()
    running.wire.drop()
    running.http.delete(f"{running.sandbox.url}/sandbox/faults")


def test_an_order_is_lost(bench: Bench) -> None:
    """It never arrives: the same key is sent again, and takes effect once."""
    bench.wire.strike("order", Fate.LOSE, times=2)
    workflow_id, name = bench.begin("restart")
    found = bench.ended(workflow_id)
    assert found["status"] == "completed"
    assert bench.wire.keys("order") == [step(found)["keys"][0]] * 3
    assert bench.changes(name) == 1


def test_an_answer_is_lost_after_the_effect(bench: Bench) -> None:
    """It was done and nobody heard of it: the key is asked for, never sent again."""
    bench.wire.strike("order", Fate.CUT)
    workflow_id, name = bench.begin("restart")
    found = bench.ended(workflow_id)
    assert found["status"] == "completed"
    assert bench.wire.keys("order") == step(found)["keys"]
    assert bench.wire.keys("question")
    assert bench.changes(name) == 1


def test_an_order_arrives_twice_at_once(bench: Bench) -> None:
    """A network that repeats a request causes one effect."""
    bench.wire.strike("order", Fate.TWICE)
    workflow_id, name = bench.begin("restart")
    assert bench.ended(workflow_id)["status"] == "completed"
    assert bench.changes(name) == 1


def test_an_order_arrives_after_its_copy(bench: Bench) -> None:
    """Held back, thought lost and sent again: the late one finds its key taken, and changes nothing."""
    bench.wire.strike("order", Fate.LATE)
    workflow_id, name = bench.begin("restart")
    assert bench.ended(workflow_id)["status"] == "completed"
    eventually(lambda: bench.wire.quiet, "the late one has arrived")
    assert len(set(bench.wire.keys("order"))) == 1  # on a slow machine the late one is found before it is sent again
    assert bench.changes(name) == 1


def test_an_order_arrives_after_it_was_cancelled_by_key(bench: Bench) -> None:
    """Out of time, its key is cancelled before the step ends; whatever arrives later changes nothing."""
    bench.wire.strike("order", Fate.HOLD)
    workflow_id, name = bench.begin("hasty")
    found = bench.ended(workflow_id)
    assert (step(found)["status"], step(found)["error_class"]) == ("failed", "timeout")
    assert bench.wire.keys("cancel") == bench.wire.keys("order") == step(found)["keys"]
    (late,) = bench.wire.deliver()
    assert late["status"] == "cancelled"
    assert bench.changes(name) == 0


def test_an_answer_later_than_the_timeout(bench: Bench) -> None:
    """It was done in time and its answer is late: cancel-by-key tells so, and the step has succeeded."""
    bench.wire.strike("order", Fate.KEEP)
    workflow_id, name = bench.begin("brief")
    found = bench.ended(workflow_id)
    assert found["status"] == "completed"
    assert bench.wire.keys("cancel") == step(found)["keys"]
    assert bench.changes(name) == 1


def test_questions_are_lost(bench: Bench) -> None:
    """Whoever gets no answer about a key asks again, and does not send meanwhile."""
    bench.wire.strike("order", Fate.CUT)
    bench.wire.strike("question", Fate.LOSE, times=8)
    workflow_id, name = bench.begin("restart")
    found = bench.ended(workflow_id)
    assert found["status"] == "completed"
    assert bench.wire.keys("order") == step(found)["keys"]
    assert bench.changes(name) == 1


@pytest.mark.parametrize("fate", [Fate.LOSE, Fate.CUT])
def test_cancels_are_lost(bench: Bench, fate: Fate) -> None:
    """While cancel-by-key is not answered the step has not ended; it is asked again until it is."""
    bench.wire.strike("order", Fate.HOLD)
    bench.wire.strike("cancel", fate, times=2)
    bench.wire.strike("cancel", Fate.KEEP)
    workflow_id, name = bench.begin("hasty")
    eventually(lambda: bench.wire.held("cancel"), "a cancel is answered, and the answer is on its way")
    assert step(bench.workflow_detail(workflow_id))["status"] == "running"
    assert len(bench.wire.keys("cancel")) == 3
    bench.wire.deliver()
    found = bench.ended(workflow_id)
    assert step(found)["error_class"] == "timeout"
    assert bench.changes(name) == 0


def test_the_answer_that_it_changed_something_and_failed_is_late(bench: Bench) -> None:
    """It has changed something, was not done in time, and nobody heard: cancel-by-key tells, and it is undone."""
    bench.wire.strike("order", Fate.KEEP)
    workflow_id, name = bench.begin("scale", bench.too_large())
    found = bench.ended(workflow_id)
    assert (step(found)["error_class"], step(found)["undo"]) == ("timeout", "undone")
    assert found["status"] == "rolled_back"
    assert bench.wire.keys("cancel") == step(found)["keys"]
    assert bench.changes(name) == 2
    assert bench.deployment("production", name)["spec"]["replicas"] == 1


@pytest.mark.requirement("BR-WF-014")
def test_a_retry_has_a_key_of_its_own(bench: Bench) -> None:
    """After a known failure the next attempt is another order; both are on record, and one took effect."""
    match = {"verb": "patch", "resource": "deployments"}
    bench.http.post(f"{bench.sandbox.url}/sandbox/faults", json={"match": match, "status": 503})
    workflow_id, name = bench.begin("restart")
    found = bench.ended(workflow_id)
    assert found["status"] == "completed"
    first = f"{found['execution_id']}:cure"
    assert bench.wire.keys("order") == step(found)["keys"] == [first, f"{first}:r1"]
    assert bench.changes(name) == 1


@pytest.mark.parametrize("fate", [Fate.LOSE, Fate.CUT, Fate.TWICE, Fate.LATE])
def test_an_undo_is_lost(bench: Bench, fate: Fate) -> None:
    """An undo goes the same way as what it undoes: one key, one effect."""
    bench.wire.strike("undo", fate)
    workflow_id, name = bench.begin("vain")
    found = bench.ended(workflow_id)
    assert (found["status"], step(found)["undo"]) == ("rolled_back", "undone")
    eventually(lambda: bench.wire.quiet, "what was late has arrived")
    assert set(bench.wire.keys("undo")) == {f"{step(found)['keys'][0]}:undo"}
    assert bench.changes(name) == 2
    assert bench.deployment("production", name)["spec"]["replicas"] == 1


def test_killed_between_started_and_the_order(bench: Bench) -> None:
    """The journal says started, the executor knows nothing: sent under the same key after the restart, and once."""
    bench.wire.strike("order", Fate.HOLD)
    workflow_id, name = bench.begin("restart")
    eventually(lambda: bench.wire.held("order"), "it is on its way")
    bench.restart()
    found = bench.ended(workflow_id)
    assert found["status"] == "completed"
    assert bench.wire.keys("order") == step(found)["keys"] * 2
    (late,) = bench.wire.deliver()
    assert late["status"] == "completed"
    assert bench.changes(name) == 1


def test_killed_between_the_effect_and_the_journal(bench: Bench) -> None:
    """The executor did it and nobody wrote that down: asked by key after the restart, one effect, completed."""
    bench.wire.strike("order", Fate.KEEP)
    workflow_id, name = bench.begin("restart")
    eventually(lambda: bench.changes(name), "it is done")
    bench.restart()
    found = bench.ended(workflow_id)
    assert found["status"] == "completed"
    assert bench.wire.keys("order") == step(found)["keys"]
    assert bench.changes(name) == 1


def test_killed_between_the_undo_and_the_journal(bench: Bench) -> None:
    """The same for an undo: one effect, rolled back."""
    bench.wire.strike("undo", Fate.KEEP)
    workflow_id, name = bench.begin("vain")
    eventually(lambda: bench.changes(name) == 2, "it is undone")
    bench.restart()
    found = bench.ended(workflow_id)
    assert (found["status"], step(found)["undo"]) == ("rolled_back", "undone")
    assert len(bench.wire.keys("undo")) == 1
    assert bench.changes(name) == 2


@pytest.mark.parametrize("verb", ["cancel", "rollback"])
def test_killed_while_it_was_not_wanted_any_more(bench: Bench, verb: str) -> None:
    """An order that never arrived is not sent for a workflow that is being cancelled: its key is cancelled instead."""
    bench.wire.strike("order", Fate.HOLD)
    workflow_id, name = bench.begin("scale")
    eventually(lambda: bench.wire.held("order"), "it is on its way")
    bench.command(workflow_id, verb)
    bench.restart()
    found = bench.ended(workflow_id)
    assert (found["status"], step(found)["status"]) == ("cancelled", "cancelled")
    assert bench.wire.keys("order") == bench.wire.keys("cancel") == step(found)["keys"]
    (late,) = bench.wire.deliver()
    assert late["status"] == "cancelled"
    assert bench.changes(name) == 0


def test_the_ledger_is_lost_after_the_effect(bench: Bench) -> None:
    """Nobody can say what happened: unknown, never sent again, and the rollback includes it and says it is incomplete.

    A retry that finds the ledger again takes over what was done.
    """
    bench.wire.strike("order", Fate.KEEP)
    workflow_id, name = bench.begin("scale")
    eventually(lambda: bench.changes(name), "it is done")
    kept = bench.other_ledger()
    bench.wire.drop()
    found = bench.ended(workflow_id)
    assert (step(found)["status"], step(found)["undo"]) == ("unknown", "undo_failed")
    assert (found["status"], found["reason"]) == ("failed", "rollback_incomplete")
    bench.command(workflow_id, "retry")
    found = bench.ended(workflow_id)
    assert step(found)["status"] == "unknown"
    assert len(bench.wire.keys("order")) == 1
    bench.old_ledger(kept)
    bench.command(workflow_id, "retry")
    found = bench.ended(workflow_id)
    assert (found["status"], step(found)["status"]) == ("completed", "succeeded")
    assert len(bench.wire.keys("order")) == 1
    assert bench.changes(name) == 1


def test_the_ledger_is_lost_before_the_order_arrives(bench: Bench) -> None:
    """Unknown as well, but dead: held back and delivered later it is for a ledger that is gone, and changes nothing.

    A retry that finds the old ledger again settles the old key there, and begins anew under a key of its own.
    """
    bench.wire.strike("order", Fate.HOLD)
    workflow_id, name = bench.begin("restart")
    eventually(lambda: bench.wire.held("order"), "it is on its way")
    kept = bench.other_ledger()
    bench.restart()
    found = bench.ended(workflow_id)
    assert step(found)["status"] == "unknown"
    (late,) = bench.wire.deliver()
    assert late["status"] == 412
    bench.old_ledger(kept)
    bench.command(workflow_id, "retry")
    again = bench.ended(workflow_id)
    assert again["status"] == "completed"
    old, new = step(found)["keys"][0], f"{again['execution_id']}:cure"
    assert bench.wire.keys("order") == [old, new]
    assert bench.changes(name) == 1


def test_an_order_arrives_after_its_copy_was_done_and_forgotten(bench: Bench) -> None:
    """Sent again and done meanwhile, then the ledger is lost: nobody remembers the key, and nothing is done anew."""
    bench.wire.strike("order", Fate.HOLD)
    workflow_id, name = bench.begin("restart")
    eventually(lambda: bench.wire.held("order"), "it is on its way")
    bench.restart()
    assert bench.ended(workflow_id)["status"] == "completed"
    kept = bench.other_ledger()
    (late,) = bench.wire.deliver()
    assert late["status"] == 412
    assert bench.changes(name) == 1
    bench.old_ledger(kept)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm(bench: Bench, seed: int) -> None:
    """With two messages of five lost, cut, doubled or late, every workflow ends as it should, nothing done twice."""
    chances = {Fate.LOSE: 0.1, Fate.CUT: 0.1, Fate.LATE: 0.05, Fate.TWICE: 0.05, Fate.DELAY: 0.1}
    bench.wire.storm(chances, seed=seed)
    begun = [(rule, *bench.begin(rule)) for rule in ["restart"] * 6 + ["vain"] * 4]
    found = [(rule, bench.ended(workflow_id)["status"]) for rule, workflow_id, _ in begun]
    bench.wire.calm()
    eventually(lambda: bench.wire.quiet, "what was late has arrived")
    assert set(found) == {("restart", "completed"), ("vain", "rolled_back")}
    assert [bench.changes(name) for _, _, name in begun] == [1] * 6 + [2] * 4
