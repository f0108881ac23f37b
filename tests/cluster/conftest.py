"""The place where the cases run, and executor-service beside it: the sandbox, or with --kubernetes the real thing."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.cluster.case import Case
from tests.cluster.report import Report
from tests.cluster.scenes import COMPONENTS
from tests.cluster.stage import Stage
from tests.executor.conftest import Executor, executor_process
from tests.support.interposer import Interposer
from tests.support.kube import Server
from tests.support.outside import Outside
from tests.support.places import Place, kubernetes_place, sandbox_place

_REAL_SECONDS = 300.0
JOB_TEMPLATES = Path(__file__).parents[2] / "deploy/examples/job-templates"
REPORT = pytest.StashKey[Report]()


def pytest_configure(config: pytest.Config) -> None:
    """Whoever asks for a table gets one."""
    page, record = (Path(name) if name else None for name in map(config.getoption, ("--proof", "--record")))
    if page or record:
        config.stash[REPORT] = Report(page, record)
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
def outside() -> Iterator[Outside]:
    """Alertmanager, Prometheus and a receiver of webhooks."""
    found = Outside()
    yield found
    found.close()


@pytest.fixture(scope="session")
def direct_executor(place: Place, outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """executor-service on the API server itself, with every setting that an action may ask for."""
    place.restore()
    with executor_at(place.executor, tmp_path_factory.mktemp("direct"), outside) as executor:
        yield executor


@pytest.fixture(scope="session")
def relay(place: Place) -> Iterator[Interposer]:
    """A relay before the API server, in which a test can be quicker than the executor."""
    with Interposer(place.executor) as found:
        yield found


@pytest.fixture(scope="session")
def relayed_executor(
    relay: Interposer, outside: Outside, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executor]:
    """executor-service behind the relay."""
    with executor_at(relay.server, tmp_path_factory.mktemp("relayed"), outside) as executor:
        yield executor


@pytest.fixture
def stage(request: pytest.FixtureRequest, place: Place, direct_executor: Executor, outside: Outside) -> Stage:
    """A fresh namespace in a place where no earlier case has left anything, with the roles of this case's family."""
    place.restore(*_families(request))
    return Stage(place, direct_executor, place.namespace(), outside)


@pytest.fixture
def relayed_stage(
    request: pytest.FixtureRequest, place: Place, relayed_executor: Executor, relay: Interposer, outside: Outside
) -> Stage:
    """The same, with the executor behind the relay."""
    place.restore(*_families(request))
    relay.forget()
    return Stage(place, relayed_executor, place.namespace(), outside)


def executor_at(server: Server, directory: Path, outside: Outside, **settings: str) -> AbstractContextManager[Executor]:
    """executor-service on a server, with every setting that an action may ask for."""
    directory.mkdir(parents=True, exist_ok=True)
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig()))
    given = {
        "SYNC_WAIT": "1500ms",
        "ALERTMANAGER_URL": outside.url,
        "PROMETHEUS_URL": outside.url,
        "WEBHOOK_ALLOWED_HOSTS": f"!http://127.0.0.1:{outside.port}",
        "JOB_TEMPLATES": str(JOB_TEMPLATES),
        "ROTATABLE_SECRETS": "proof-*/*",
        "NETWORK_COMPONENTS": ",".join(f"{name}={kind}/kube-system/{name}" for name, kind in COMPONENTS.items()),
    }
    return executor_process(directory, kubeconfig, **(given | settings))


def _families(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The family of the case, if the test has one."""
    case = request.node.callspec.params.get("case") if hasattr(request.node, "callspec") else None
    return (case.spec.family,) if isinstance(case, Case) else ()
