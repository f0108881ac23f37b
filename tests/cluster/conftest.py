"""The place where the cases run, and executor-service beside it: the sandbox, or with --kubernetes the real thing."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.cluster.report import Report
from tests.cluster.stage import Stage
from tests.executor.conftest import Executor, executor_process
from tests.support.interposer import Interposer
from tests.support.kube import Server
from tests.support.places import Place, kubernetes_place, sandbox_place

_REAL_SECONDS = 300.0
REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    """Whoever asks for a table gets one."""
    page = config.getoption("--proof")
    if page:
        config.stash[REPORT] = Report(Path(page))
        config.pluginmanager.register(config.stash[REPORT], "proof-on-a-cluster")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Real controllers need more time than the sandbox's."""
    for item in items if config.getoption("--kubernetes") else ():
        item.add_marker(pytest.mark.timeout(_REAL_SECONDS))


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where the cases run."""
    directory, binaries = tmp_path_factory.mktemp("place"), request.config.getoption("--kubernetes")
    opened = kubernetes_place(Path(binaries), directory) if binaries else sandbox_place(directory)
    with opened as found:
        if REPORT in request.config.stash:
            request.config.stash[REPORT].version = found.kube.done("GET", "/version")["gitVersion"]
        yield found


@pytest.fixture(scope="session")
def direct_executor(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """executor-service on the API server itself."""
    with _executor(place.executor, tmp_path_factory.mktemp("direct")) as executor:
        yield executor


@pytest.fixture(scope="session")
def relay(place: Place) -> Iterator[Interposer]:
    """A relay before the API server, in which a test can be quicker than the executor."""
    with Interposer(place.executor) as found:
        yield found


@pytest.fixture(scope="session")
def relayed_executor(relay: Interposer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """executor-service behind the relay."""
    with _executor(relay.server, tmp_path_factory.mktemp("relayed")) as executor:
        yield executor


@pytest.fixture
def stage(place: Place, direct_executor: Executor) -> Stage:
    """A fresh namespace in a place where no earlier case has left anything."""
    place.restore()
    return Stage(place, direct_executor, place.namespace())


@pytest.fixture
def relayed_stage(place: Place, relayed_executor: Executor, relay: Interposer) -> Stage:
    """The same, with the executor behind the relay."""
    place.restore()
    relay.forget()
    return Stage(place, relayed_executor, place.namespace())


def _executor(server: Server, directory: Path) -> AbstractContextManager[Executor]:
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig()))
    return executor_process(directory, kubeconfig, SYNC_WAIT="1500ms")
