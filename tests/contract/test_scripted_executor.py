"""The executor of the in-process tests keeps the promises of the real one: one suite, held against both."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from tests.support.processes import Stack, free_port
from tests.support.scripted_executor import ScriptedExecutor

from workflow_service.clients.executor import HttpExecutor
from workflow_service.clients.session import SharedSession
from workflow_service.domain.errors import ErrorClass, ExecutorError, Misunderstood, OtherLedger, Unreachable
from workflow_service.domain.target import Target
from workflow_service.ports import ActionRequest, Executor, NeverSeen

Effects = Callable[[], int]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A sandbox cluster and the real executor; workflow-service is not needed."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.sandbox.start("/version")
        stack.executor.start("/readyz")
        yield stack
    finally:
        stack.executor.kill()
        stack.sandbox.kill()
        stack.http.close()


@pytest.fixture(params=["scripted", "real"])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Executor, Effects]]:
    """An executor, and how many effects it has had."""
    if request.param == "scripted":
        scripted = ScriptedExecutor()
        yield scripted, lambda: len([key for key in scripted.effects if not key.endswith(":undo")])
        return
    stack: Stack = request.getfixturevalue("stack")
    session = SharedSession()
    yield HttpExecutor(stack.executor.url, session, token=lambda: None), lambda: len(stack.effects())
    await session.close()


def cordon(node: str = "node-1", **more: Any) -> ActionRequest:
    """An order that changes one object, under a key of its own."""
    values: dict[str, Any] = {
        "key": f"{uuid.uuid4()}:cordon",
        "step_id": "cordon",
        "type": "cordon_node",
        "parameters": {"node_name": node, "reason": "a test"},
        "alert": {"name": "NodeNotReady"},
        "workflow_id": "w",
        "execution_id": "e",
        "attempt": 0,
        "remaining_seconds": 30.0,
        "cluster": "default",
    }
    return ActionRequest(**{**values, **more})


def undo_of(request: ActionRequest) -> ActionRequest:
    """The order that takes another one back."""
    parameters = {"key": request.key, "force": False}
    return request._replace(key=f"{request.key}:undo", type="undo", parameters=parameters)


async def test_one_key_has_one_effect_and_one_answer(peer: tuple[Executor, Effects]) -> None:
    """However often it is sent or asked for; the undo has its own key and is a success when repeated."""
    executor, effects = peer
    before, request = effects(), cordon("node-1")
    first = await executor.execute(request)
    assert (first.status, first.success, first.final) == ("completed", True, True)
    assert first.changes
    assert first.undo_available
    assert first.ledger_id == await executor.ledger_id()
    assert (await executor.execute(request)).action_id == first.action_id
    known = await executor.by_key(request.key)
    assert not isinstance(known, NeverSeen)
    assert (known.status, known.changes) == (first.status, first.changes)
    assert effects() == before + 1
    undone = await executor.execute(undo_of(request))
    assert undone.success
    assert (await executor.execute(undo_of(request))).success


async def test_a_key_belongs_to_one_order(peer: tuple[Executor, Effects]) -> None:
    """The same key with other parameters is refused as the caller's mistake, and nothing happens."""
    executor, effects = peer
    request = cordon("node-2")
    await executor.execute(request)
    before = effects()
    with pytest.raises(Misunderstood):
        await executor.execute(request._replace(parameters={"node_name": "node-3", "reason": "another"}))
    assert effects() == before
    await executor.execute(undo_of(request))


async def test_a_key_nobody_has_seen(peer: tuple[Executor, Effects]) -> None:
    """The answer names the ledger that has not seen it."""
    executor, _ = peer
    assert await executor.by_key("never-seen") == NeverSeen(await executor.ledger_id())


async def test_an_order_is_for_the_ledger_that_it_names(peer: tuple[Executor, Effects]) -> None:
    """Another ledger begins nothing, and knows nothing of the key; the one that is meant does it."""
    executor, effects = peer
    before, request = effects(), cordon("node-3")
    with pytest.raises(OtherLedger, match="the order was for gone"):
        await executor.execute(request._replace(ledger_id="gone"))
    assert effects() == before
    assert await executor.by_key(request.key) == NeverSeen(await executor.ledger_id())
    assert (await executor.execute(request._replace(ledger_id=await executor.ledger_id()))).success
    await executor.execute(undo_of(request))


async def test_a_cancel_that_comes_first_forbids_the_key(peer: tuple[Executor, Effects]) -> None:
    """A tombstone: the order that arrives later has no effect, its undo is a success that does nothing."""
    executor, effects = peer
    before, request = effects(), cordon("node-3")
    assert (await executor.cancel(request.key)).status == "cancelled"
    late = await executor.execute(request)
    assert (late.status, late.success) == ("cancelled", False)
    assert (await executor.execute(undo_of(request))).success
    assert effects() == before


async def test_a_cancel_that_comes_last_tells_the_result(peer: tuple[Executor, Effects]) -> None:
    """What is done stays done."""
    executor, _ = peer
    request = cordon("node-3")
    await executor.execute(request)
    assert (await executor.cancel(request.key)).status == "completed"
    await executor.execute(undo_of(request))


async def test_no_time_left_is_refused(peer: tuple[Executor, Effects]) -> None:
    """An order without remaining time is refused as a time-out, without effect."""
    executor, effects = peer
    before = effects()
    late = await executor.execute(cordon(remaining_seconds=0.0))
    assert (late.status, late.error_class) == ("refused", ErrorClass.TIMEOUT)
    assert effects() == before


async def test_an_undo_of_nothing_is_refused(peer: tuple[Executor, Effects]) -> None:
    """A key that the ledger has never seen cannot be undone."""
    executor, _ = peer
    refused = await executor.execute(undo_of(cordon()))
    assert (refused.status, refused.error_class) == ("refused", ErrorClass.NOT_FOUND)


async def test_what_it_offers(peer: tuple[Executor, Effects]) -> None:
    """A catalogue with a digest, in which cordoning is reversible and restarting is not."""
    executor, _ = peer
    catalogue, document = await executor.catalogue()
    assert catalogue.digest == document["digest"]
    cordoning, restarting = catalogue.get("cordon_node"), catalogue.get("restart_pod")
    assert cordoning is not None
    assert restarting is not None
    assert (cordoning.reversible, restarting.reversible) == (True, False)


async def test_what_it_sees(peer: tuple[Executor, Effects]) -> None:
    """A pod's owners come nearest first, up to the Deployment; a deployment tells its replicas."""
    executor, _ = peer
    pod = await executor.observe(Target("default", "Pod", "web-server-123", "production"))
    assert pod.found
    assert [owner.kind for owner in pod.owners] == ["ReplicaSet", "Deployment"]
    deployment = await executor.observe(Target("default", "Deployment", "web-server", "production"))
    assert deployment.facts["replicas"] == 3
    gone = await executor.observe(Target("default", "Deployment", "gone-for-good", "production"))
    assert not gone.found
    assert await executor.healthy()


async def test_when_it_is_away() -> None:
    """Nothing arrives, and it says so; the health question never raises."""
    session = SharedSession()
    nobody = HttpExecutor(f"http://127.0.0.1:{free_port()}", session, token=lambda: None)
    for executor in (ScriptedExecutor(away=True), nobody):
        with pytest.raises(Unreachable):
            await executor.execute(cordon())
        with pytest.raises(ExecutorError):
            await executor.ledger_id()
        assert not await executor.healthy()
    await session.close()
