"""Settings: precedence, Go durations, secrets, and every problem at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from workflow_service.settings import Settings, SettingsError, describe, load

SHIPPED = Path(__file__).parents[2] / "config" / "workflow-service.yaml"

SPECIFIED = {
    "WORKFLOW_SERVICE_PORT": "8083",
    "MAX_CONCURRENT_WORKFLOWS": "50",
    "WORKFLOW_EXECUTION_TIMEOUT": "600s",
    "STATE_RETENTION_PERIOD": "24h",
    "MONITORING_INTERVAL": "30s",
    "AI_PROVIDER": "holmesgpt",
    "AI_SERVICE_URL": "http://ai-service:8082",
    "AI_MODEL": "hf://ggml-org/gpt-oss-20b-GGUF",
    "AI_TIMEOUT": "60s",
    "AI_MAX_RETRIES": "3",
    "AI_CONFIDENCE_THRESHOLD": "0.7",
    "EXECUTOR_SERVICE_URL": "http://executor-service:8084",
    "LOG_LEVEL": "info",
    "COORDINATION_TIMEOUT": "300s",
    "RETRY_ATTEMPTS": "3",
    "PARALLEL_EXECUTION_ENABLED": "true",
    "MAX_PARALLEL_ACTIONS": "5",
    "ACTION_TIMEOUT": "120s",
    "ROLLBACK_ENABLED": "true",
    "RECOVERY_ENABLED": "true",
    "HOST": "127.0.0.1",
    "CLUSTER_NAME": "default",
    "EXECUTE_WAIT": "60s",
    "INTAKE_COOLDOWN": "5m",
    "LEASE_TTL": "3s",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(environ: dict[str, str], config: Path | None = None) -> tuple[str, ...]:
    """What is wrong with these settings."""
    with pytest.raises(SettingsError) as caught:
        load(environ, config)
    return caught.value.problems


def written(tmp_path: Path, text: str) -> Path:
    """A settings file with this text."""
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


def test_specified_defaults() -> None:
    """Without environment and file every specified name has its specified default."""
    shown = {name: (value, source) for name, value, source in describe(load({}))}
    assert {name: shown[name] for name in SPECIFIED} == {name: (value, "default") for name, value in SPECIFIED.items()}
    settings = load({})
    assert settings.service_port == 8083
    assert settings.orchestration.workflow_execution_timeout == 600.0
    assert settings.execution.action_timeout == 120.0
    assert settings.storage.url == "sqlite:///data/workflow-service.sqlite"


def test_shipped_file_says_the_defaults() -> None:
    """The shipped YAML file changes nothing and names every setting that has a default."""
    assert load({}, SHIPPED) == Settings()
    text = SHIPPED.read_text()
    for name, _, _ in describe(load({})):
        assert re.search(rf"# {name}\b", text), f"{name} is not documented in {SHIPPED.name}"
    assert set(yaml.safe_load(text)) == {"workflow"}


def test_environment_over_file_over_default(tmp_path: Path) -> None:
    """The environment wins over the file and the file over the default; the source is told with its line."""
    file = written(tmp_path, "workflow:\n  service_port: 9000\n  execution:\n    action_timeout: 1h30m\n")
    settings = load({"WORKFLOW_SERVICE_PORT": "9001"}, file)
    sources = {name: (value, source) for name, value, source in describe(settings)}
    assert (settings.service_port, settings.execution.action_timeout) == (9001, 5400.0)
    assert sources["WORKFLOW_SERVICE_PORT"] == ("9001", "env")
    assert sources["ACTION_TIMEOUT"] == ("1h30m", f"{file}:4")


def test_file_in_its_usual_place_is_read(tmp_path: Path) -> None:
    """config/workflow-service.yaml below the working directory is read without being named."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/workflow-service.yaml").write_text("workflow: {service_port: 9002}\n")
    assert load({}).service_port == 9002


@pytest.mark.parametrize("text", ["", "workflow:\n", "workflow:\n  execution:\n", "workflow: {service_port: ~}\n"])
def test_empty_means_unset(tmp_path: Path, text: str) -> None:
    """Empty variables, sections and nulls leave the default."""
    assert load({"WORKFLOW_SERVICE_PORT": ""}, written(tmp_path, text)) == Settings()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("600s", 600.0), ("1h30m", 5400.0), ("1.5h", 5400.0), ("2m0.5s", 120.5), ("auto", None)],
)
def test_go_durations(text: str, seconds: float | None) -> None:
    """Durations are read as Go writes them; the execution timeout may be left to the number of steps."""
    assert load({"WORKFLOW_EXECUTION_TIMEOUT": text}).orchestration.workflow_execution_timeout == seconds


@pytest.mark.parametrize("text", ["600", "10 s", "-5s", "1d", "s", "1h-5m", "AUTO!", "1e3s", "0"])
def test_bad_durations(text: str) -> None:
    """What Go would not read, or what is out of bounds, names setting, value and rule."""
    (problem,) = problems({"WORKFLOW_EXECUTION_TIMEOUT": text})
    assert problem.startswith(f"WORKFLOW_EXECUTION_TIMEOUT (env): {text!r} must be a Go duration")


def test_every_problem_at_once(tmp_path: Path) -> None:
    """All broken settings are told together, each with its place, its value and its rule."""
    file = written(tmp_path, "workflow:\n  execution: {max_parallel_actions: many}\n  executions: {}\nother: 1\n")
    found = problems(
        {
            "WORKFLOW_SERVICE_PORT": "70000",
            "AI_CONFIDENCE_THRESHOLD": "1.5",
            "AI_SERVICE_URL": "ftp://ai",
            "LOG_LEVEL": "loud",
            "ROLLBACK_ENABLED": "perhaps",
            "DATABASE_URL": "mysql://root:hunter2@db/x",
            "RULES_FILE": "/no/such/file",
            "HOST": "192.0.2.1",
        },
        file,
    )
    text = "\n".join(found)
    for expected in (
        "WORKFLOW_SERVICE_PORT (env): '70000' must be a whole number from 0 to 65535",
        "AI_CONFIDENCE_THRESHOLD (env): '1.5' must be a number from 0 to 1",
        "AI_SERVICE_URL (env): 'ftp://ai' must be a URL",
        "LOG_LEVEL (env): 'loud' must be one of trace",
        "ROLLBACK_ENABLED (env): 'perhaps' must be true or false",
        "DATABASE_URL (env): 'mysql://root:********@db/x' must be a URL",
        "RULES_FILE (env): '/no/such/file' must be a readable file (No such file or directory)",
        f"MAX_PARALLEL_ACTIONS ({file}:2): 'many' must be a whole number",
        f"{file}:3: workflow.executions is no setting; did you mean workflow.execution?",
        f"{file}:4: 'other' is no known key",
        "HOST: '192.0.2.1' listens beyond loopback, where AUTH_MODE must be given",
    ):
        assert expected in text
    assert len(found) == 11
    assert "hunter2" not in text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "workflow-service"])  # noqa: S104 - refused here
def test_beyond_loopback_needs_a_word(host: str) -> None:
    """Listening beyond loopback without authentication starts only when AUTH_MODE=none is said."""
    assert "AUTH_MODE" in problems({"HOST": host})[0]
    assert load({"HOST": host, "AUTH_MODE": "none"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    """On loopback no AUTH_MODE is needed."""
    assert load({"HOST": host}).host == host


def test_one_setting_in_two_places(tmp_path: Path) -> None:
    """The AI address may stand in both specified places, but must not differ."""
    same = "workflow:\n  ai_integration: {{endpoint: {0}}}\n  service_coordination: {{ai_service_url: {1}}}\n"
    agreed = load({}, written(tmp_path, same.format("http://a:1", "http://a:1")))
    assert agreed.ai_integration.endpoint == "http://a:1"
    only = load({}, written(tmp_path, "workflow: {service_coordination: {ai_service_url: 'http://b:2/'}}"))
    assert only.ai_integration.endpoint == "http://b:2"
    (problem,) = problems({}, written(tmp_path, same.format("http://a:1", "http://b:2")))
    assert problem.startswith("AI_SERVICE_URL: 'http://a:1'")
    assert "must not differ" in problem


def test_secrets_from_files_and_masked(tmp_path: Path) -> None:
    """Secrets may come from files, and neither describe, repr nor a problem shows them."""
    (tmp_path / "token").write_text("s3cret-token\n")
    (tmp_path / "dsn").write_text("postgresql://wfs:p@ss:w%2Frd@db:5432/wfs?sslpassword=k3y\n")
    settings = load(
        {
            "EXECUTOR_TOKEN_FILE": "token",
            "DATABASE_URL_FILE": "dsn",
            "REDIS_URL": "redis://:r3dis@cache:6379/0",
        }
    )
    assert settings.service_coordination.executor_token == "s3cret-token"
    shown = {name: (value, source) for name, value, source in describe(settings)}
    assert shown["EXECUTOR_TOKEN"] == ("********", "env EXECUTOR_TOKEN_FILE")
    assert shown["DATABASE_URL"][0] == "postgresql://wfs:********@db:5432/wfs?sslpassword=********"
    assert shown["REDIS_URL"] == ("redis://:********@cache:6379/0", "env")
    everything = repr(settings) + repr(describe(settings))
    assert not any(secret in everything for secret in ("s3cret", "p@ss", "k3y", "r3dis"))


def test_a_secret_given_twice_must_agree(tmp_path: Path) -> None:
    """A secret given by value and by file must be the same, and the complaint does not show it."""
    (tmp_path / "token").write_text("one")
    (problem,) = problems({"EXECUTOR_TOKEN": "two", "EXECUTOR_TOKEN_FILE": "token"})
    assert problem == "EXECUTOR_TOKEN: '********' (env) and '********' (env EXECUTOR_TOKEN_FILE) must not differ"
    (missing,) = problems({"EXECUTOR_TOKEN_FILE": "nowhere"})
    assert missing.startswith("EXECUTOR_TOKEN_FILE (env): 'nowhere' must be a readable text file")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("workflow: [1, 2]", "workflow must be a mapping"),
        ("- a", "the file must be a mapping"),
        ("workflow: {service_port: {a: 1}}", "workflow.service_port must be a single value"),
        ("workflow: {service_port: 1, service_port: 2}", "'service_port' must not be given twice"),
        ("workflow: {host: 'x", "is no YAML"),
        ("workflow:\n  execution: 5\n", "execution must be a mapping"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, part: str) -> None:
    """A file of the wrong shape is a problem that says where and what, never a traceback."""
    assert any(part in problem for problem in problems({}, written(tmp_path, text)))


def test_named_file_must_exist(tmp_path: Path) -> None:
    """A file named on the command line must be there."""
    assert "must be a readable YAML file" in problems({}, tmp_path / "none.yaml")[0]


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "postgresql+asyncpg://h/d", "x"])
def test_refused_databases(url: str) -> None:
    """Only a SQLite file or PostgreSQL will do: nothing may be lost."""
    assert "DATABASE_URL" in problems({"DATABASE_URL": url})[0]


@pytest.mark.parametrize("url", ["sqlite:///x.sqlite", "sqlite:////var/x.sqlite", "postgresql:///db?host=/run/pg"])
def test_accepted_databases(url: str) -> None:
    """SQLite files and PostgreSQL by host or by socket are taken as they are."""
    assert load({"DATABASE_URL": url}).storage.url == url


def test_ca_bundle_must_hold_certificates(tmp_path: Path) -> None:
    """A CA bundle without certificates is told at the start, not at the first call."""
    (tmp_path / "ca.pem").write_text("nothing")
    assert "must be a PEM file with CA certificates" in problems({"CA_BUNDLE": "ca.pem"})[0]
