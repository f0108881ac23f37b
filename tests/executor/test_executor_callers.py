"""Who may give orders: the shared token, Kubernetes users by TokenReview, anybody."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.executor.api_server import ApiServer
from tests.executor.conftest import Cluster, Executor, eventually, executor_process

from executor_service.settings import SettingsError, load

SCALE = {"namespace": "production", "resource_name": "web-server", "replicas": 4}
WORKFLOW = "system:serviceaccount:kubernaut:workflow-service"
LONG = "x" * 20_000
GENEROUS = {"EXECUTOR_AUTH": "tokenreview", "EXECUTOR_CALLERS": f"{WORKFLOW},system:serviceaccount:sre:*"}


@pytest.fixture
def api_server(cluster: Cluster) -> Iterator[ApiServer]:
    """In front of the sandbox."""
    server = ApiServer(cluster.url)
    server.users = {
        "good": (WORKFLOW, ["executor-service"]),
        "stranger": ("system:serviceaccount:shop:web", ["executor-service"]),
        "elsewhere": (WORKFLOW, ["vault"]),
    }
    yield server
    server.close()


def answers(executor: Executor, token: str | None) -> tuple[int, str]:
    """Status and body of an order with that token."""
    headers = {"Idempotency-Key": f"by-{token}"} | ({"Authorization": f"Bearer {token}"} if token else {})
    body = {"action": {"type": "scale_deployment", "parameters": SCALE}}
    answer = executor.http.post("/api/v1/execute", json=body, headers=headers)
    return answer.status_code, answer.text


def test_tokenreview_lets_in_whom_it_names_and_nobody_else(
    api_server: ApiServer, cluster: Cluster, tmp_path: Path
) -> None:
    """Without, with a bad, or with a token meant for others: the same 401. Known but not allowed: 403. No effect."""
    settings = GENEROUS | {"EXECUTOR_AUDIENCES": "executor-service"}
    with executor_process(tmp_path, api_server.kubeconfig(tmp_path / "kube"), **settings) as executor:
        refused = {token: answers(executor, token) for token in (None, "wrong", "elsewhere", "stranger", LONG)}
        assert {token: code for token, (code, _) in refused.items()} == {
            None: 401, "wrong": 401, "elsewhere": 401, "stranger": 403, LONG: 401,
        }  # fmt: skip
        assert len({body for code, body in refused.values() if code == 401}) == 1
        for _, body in refused.values():
            assert not any(word in body for word in ("wrong", "shop", "kubernaut:", "audience", "vault"))
        assert cluster.writes() == []
        assert api_server.reviews[-1]["audiences"] == ["executor-service"]
        assert answers(executor, "good")[0] == 200
        assert len(cluster.writes()) == 1
        assert executor.http.get("/livez").status_code == 200
        assert "stranger" not in executor.log.read_text()


def test_an_answer_of_tokenreview_is_believed_for_a_bounded_time(
    api_server: ApiServer, cluster: Cluster, tmp_path: Path
) -> None:
    """Within it nobody is asked again; after it a revoked token is refused; API server away: 503, not 401 or 200."""
    kubeconfig = api_server.kubeconfig(tmp_path / "kube")
    with executor_process(tmp_path / "a", kubeconfig, **GENEROUS) as executor:
        assert [answers(executor, "good")[0] for _ in range(3)] == [200] * 3
        assert len(api_server.reviews) == 1
        del api_server.users["good"]
        assert answers(executor, "good")[0] == 200
        api_server.away = True
        assert answers(executor, "unseen")[0] == 503
        api_server.away = False
    api_server.users["good"] = (WORKFLOW, ["executor-service"])
    with executor_process(tmp_path / "b", kubeconfig, **GENEROUS, TOKENREVIEW_CACHE="50ms") as executor:
        assert answers(executor, "good")[0] == 200
        del api_server.users["good"]
        eventually(lambda: answers(executor, "good")[0] == 401, "the revoked token is refused")


def test_the_token_is_read_again_when_its_file_changes(cluster: Cluster, tmp_path: Path) -> None:
    """A rotated secret counts at once and the old one no more; an emptied file changes nothing."""
    secret = tmp_path / "token"
    secret.write_text("first\n")
    with executor_process(tmp_path / "e", cluster.kubeconfig, EXECUTOR_TOKEN_FILE=str(secret)) as executor:
        assert [answers(executor, token)[0] for token in ("first", "second", "firs", None)] == [200, 401, 401, 401]
        fresh = tmp_path / "fresh"
        fresh.write_text("second\n")
        fresh.rename(secret)
        assert [answers(executor, token)[0] for token in ("first", "second")] == [401, 200]
        secret.write_text("")
        assert [answers(executor, token)[0] for token in ("first", "second")] == [401, 200]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"EXECUTOR_AUTH": "tokenreview"}, "EXECUTOR_CALLERS"),
        ({"EXECUTOR_AUTH": "none", "EXECUTOR_TOKEN": "x"}, "EXECUTOR_AUTH"),
        ({"EXECUTOR_AUTH": "password"}, "EXECUTOR_AUTH"),
        ({"HOST": "10.0.0.1"}, "HOST"),
    ],
)
def test_a_contradiction_about_callers_refuses_the_start(environment: dict[str, str], named: str) -> None:
    """Nobody is let in, or kept out, by mistake."""
    with pytest.raises(SettingsError, match=f"^{named}"):
        load(environment)


def test_nobody_is_asked_only_where_that_is_said_aloud() -> None:
    """Beyond loopback `none` must be given."""
    assert load({"HOST": "10.0.0.1", "EXECUTOR_AUTH": "none"}).token is None
    reviewed = load({"HOST": "10.0.0.1", "EXECUTOR_AUTH": "tokenreview", "EXECUTOR_CALLERS": WORKFLOW})
    assert reviewed.callers.callers == (WORKFLOW,)
