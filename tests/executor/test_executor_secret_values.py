"""Secret references: values reach whom they are meant for, and are nowhere else; what may not be read is refused."""

import base64
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.executor.conftest import Cluster, Executor, executor_process
from tests.executor.test_executor_jobs import template
from tests.support.outside import Outside

VALUE = "Bearer a-very-secret-token-4711"
LISTED = "production/hook-*,production/db-login"
TOKEN = {"Authorization": {"secretRef": {"name": "hook-login", "key": "header"}}}
LOGIN = {"PGPASSWORD": {"secretRef": {"name": "db-login", "key": "password"}}}
REPAIR = {"namespace": "production", "resource_name": "postgres"}


def encoded(text: bytes) -> str:
    """As a Secret holds it."""
    return base64.b64encode(text).decode()


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A fresh one for every test."""
    outside = Outside()
    yield outside
    outside.close()


@pytest.fixture
def user(cluster: Cluster, outside: Outside, tmp_path: Path) -> Iterator[Executor]:
    """An executor of the namespace production that may use some secrets, in webhooks and Jobs."""
    data = {
        "header": encoded(VALUE.encode() + b"\n"),
        "binary": encoded(b"\xff\xfe"),
        "lines": encoded(b"a\r\nX-Evil: 1"),
        "empty": "",
    }
    cluster.create("secrets", {"metadata": {"name": "hook-login"}, "type": "Opaque", "data": data})
    cluster.create("secrets", {"metadata": {"name": "db-login"}, "data": {"password": encoded(VALUE.encode())}})
    cluster.create("secrets", {"metadata": {"name": "payroll"}, "data": {"password": encoded(VALUE.encode())}})
    (tmp_path / "jobs").mkdir()
    for action in ("repair_database", "backup_data"):
        (tmp_path / "jobs" / f"{action}.yaml").write_text(template("${resource_name}"))
    settings = {
        "WEBHOOK_ALLOWED_HOSTS": f"!http://127.0.0.1:{outside.port}",
        "READABLE_SECRETS": LISTED,
        "POD_NAMESPACE": "production",
        "PROTECT_OWN_NAMESPACE": "false",
        "JOB_TEMPLATES": str(tmp_path / "jobs"),
    }
    with executor_process(tmp_path / "data", cluster.kubeconfig, **settings) as executor:
        yield executor


def nowhere(directory: Path, executor: Executor, *answers: object) -> None:
    """Neither ledger, nor log, nor answers hold the value, plain or encoded."""
    with sqlite3.connect(directory / "data" / "executor.sqlite") as ledger:
        stored = "\n".join(ledger.iterdump())
    told = stored + executor.log.read_text() + str(answers)
    for text in (VALUE, encoded(VALUE.encode()), encoded(VALUE.encode() + b"\n")):
        assert text not in told


def hook(outside: Outside, headers: Any = TOKEN) -> dict[str, Any]:
    """An order."""
    return {"url": f"{outside.url}/hook", "payload": {"a": 1}, "headers": headers}


def test_a_webhook_gets_the_value_and_nobody_else(user: Executor, outside: Outside, tmp_path: Path) -> None:
    """The header holds the value without its line break; answer, ledger, audit and log hold the reference at most."""
    dry = user.execute("call_webhook", hook(outside), dry_run=True)
    assert (dry["result"], outside.calls) == ({"called": False}, []), dry
    result = user.execute("call_webhook", hook(outside), key="hooked")
    assert result["status"] == "completed", result
    assert outside.headers[-1]["authorization"] == VALUE
    assert result["result"]["answer"] == "(not kept: it may repeat a secret)"
    again = user.by_key("hooked").json()
    audit = user.http.get("/api/v1/audit").text
    nowhere(tmp_path, user, result, again, audit)


@pytest.mark.parametrize(
    ("reference", "error_class", "words"),
    [
        ({"name": "payroll", "key": "password"}, "forbidden", "Secret production/payroll is not listed in READABLE_"),
        ({"name": "hook-gone", "key": "x"}, "permanent", "Secret production/hook-gone does not exist"),
        ({"name": "hook-login", "key": "x"}, "permanent", "has no key 'x' (keys: binary, empty, header, lines)"),
        ({"name": "hook-login", "key": "binary"}, "permanent", "the value of 'binary' is no text"),
        ({"name": "hook-login", "key": "lines"}, "permanent", "holds what no header may hold"),
        ({"name": "hook-login", "key": "empty"}, "permanent", "is empty"),
    ],
)
def test_what_cannot_be_used_is_said_for_good(
    user: Executor, outside: Outside, tmp_path: Path, reference: dict[str, str], error_class: str, words: str
) -> None:
    """Unlisted, missing, no text: a clear error that no retry heals, in a dry run too; nobody is called."""
    order = hook(outside, {"Authorization": {"secretRef": reference}})
    results = [user.execute("call_webhook", order, dry_run=dry_run) for dry_run in (True, False)]
    for result in results:
        assert (result["success"], result["error"]["class"]) == (False, error_class), result
        assert words in result["message"], result
    assert outside.calls == []
    nowhere(tmp_path, user, results)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer plain"},
        {"Authorization": {"secretRef": {"name": "hook-login"}}},
        {"Authorization": {"secretRef": {"name": "hook-login", "key": "header", "namespace": "kube-system"}}},
        {"Host": {"secretRef": {"name": "hook-login", "key": "header"}}},
        {"Bad Name": {"secretRef": {"name": "hook-login", "key": "header"}}},
        {},
    ],
)
def test_what_is_no_reference_is_no_order(user: Executor, outside: Outside, headers: dict[str, Any]) -> None:
    """Plain values, other namespaces, headers of ours: 422 with the field."""
    answer = user.order("call_webhook", hook(outside, headers))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("action.parameters.headers")


def test_a_job_refers_to_the_secret(user: Executor, cluster: Cluster, tmp_path: Path) -> None:
    """Its containers get a variable that names Secret and key; the value is in no Job either."""
    result = user.execute("repair_database", REPAIR | {"secret_env": LOGIN})
    assert result["status"] == "completed", result
    (job,) = cluster.all("jobs")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    reference = {"secretKeyRef": {"name": "db-login", "key": "password"}}
    assert container["env"] == [{"name": "PGPASSWORD", "valueFrom": reference}]
    nowhere(tmp_path, user, result, job)


@pytest.mark.parametrize(
    ("reference", "error_class"),
    [({"name": "payroll", "key": "password"}, "forbidden"), ({"name": "db-login", "key": "x"}, "permanent")],
)
def test_a_job_gets_only_what_is_listed_and_there(
    user: Executor, cluster: Cluster, reference: dict[str, str], error_class: str
) -> None:
    """Otherwise there is no Job."""
    result = user.execute("repair_database", REPAIR | {"secret_env": {"PGPASSWORD": {"secretRef": reference}}})
    assert (result["error"]["class"], cluster.all("jobs")) == (error_class, []), result


def test_a_snapshot_has_no_environment(user: Executor) -> None:
    """backup_data takes secrets where a Job does the work, and says so where none does."""
    order = REPAIR | {"resource_type": "pvc", "secret_env": LOGIN}
    known = user.execute("backup_data", order)
    assert (known["status"], "secret_env" in known["message"]) == ("refused", True), known


def test_nothing_is_readable_by_default(cluster: Cluster, outside: Outside, tmp_path: Path) -> None:
    """Without READABLE_SECRETS every reference is refused; without a namespace of its own the executor says so."""
    settings = {"WEBHOOK_ALLOWED_HOSTS": f"!http://127.0.0.1:{outside.port}"}
    with executor_process(tmp_path / "data", cluster.kubeconfig, **settings, POD_NAMESPACE="production") as executor:
        assert executor.execute("call_webhook", hook(outside))["error"]["class"] == "forbidden"
    with executor_process(tmp_path / "other", cluster.kubeconfig, **settings) as executor:
        assert "POD_NAMESPACE" in executor.execute("call_webhook", hook(outside))["message"]
    assert outside.calls == []
