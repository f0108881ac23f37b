"""Log lines and metrics: their form, their names, and that no secret is in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from workflow_service.domain.states import FINAL_EXECUTION
from workflow_service.telemetry import log
from workflow_service.telemetry.metrics import Metrics


class Lines(io.BytesIO):
    """What was logged."""

    def parsed(self) -> list[dict[str, Any]]:
        """Each line as the JSON object that it must be."""
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def lines() -> Lines:
    """Everything from info upwards."""
    caught = Lines()
    log.configure("info", file=caught)
    return caught


def test_a_line_is_json_with_the_context(lines: Lines) -> None:
    """A line carries time, level, event and what is known about the work at hand, and only within it."""
    with log.progress_context(workflow_id="w1", action_id="a1", step=2, total_steps=5, progress=0.4):
        structlog.get_logger().info("action started", attempt=1)
    structlog.get_logger().info("idle")
    first, second = lines.parsed()
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "level": "info",
        "event": "action started",
        "attempt": 1,
        "workflow_id": "w1",
        "action_id": "a1",
        "step": 2,
        "total_steps": 5,
        "progress": 0.4,
    }
    assert "workflow_id" not in second


def test_library_lines_have_the_same_form(lines: Lines) -> None:
    """What libraries log through the standard library comes out as the same JSON, context included."""
    with log.progress_context(workflow_id="w1"):
        logging.getLogger("uvicorn.error").warning("odd %s", "request")
    (line,) = lines.parsed()
    assert (line["event"], line["level"], line["logger"]) == ("odd request", "warning", "uvicorn.error")
    assert line["workflow_id"] == "w1"


def test_exceptions_stay_on_one_line(lines: Lines) -> None:
    """A traceback is a field of the line, in our lines and in those of libraries."""
    error = ValueError("broken")
    structlog.get_logger().error("failed", exc_info=error)
    logging.getLogger("some.library").error("failed too", exc_info=error)
    assert all("ValueError: broken" in line["exception"] for line in lines.parsed())


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("trace", ["ours debug", "ours info", "ours error", "theirs debug", "theirs error"]),
        ("debug", ["ours debug", "ours info", "ours error", "theirs error"]),
        ("info", ["ours info", "ours error", "theirs error"]),
        ("warn", ["ours error", "theirs error"]),
        ("warning", ["ours error", "theirs error"]),
        ("error", ["ours error", "theirs error"]),
        ("fatal", []),
        ("panic", []),
    ],
)
def test_levels_of_logrus(level: str, seen: list[str]) -> None:
    """LOG_LEVEL takes the names of logrus; libraries at debug appear with trace only."""
    caught = Lines()
    log.configure(level, file=caught)
    for name in ("debug", "info", "error"):
        getattr(structlog.get_logger(), name)(f"ours {name}")
    for name in ("debug", "error"):
        getattr(logging.getLogger("a.library"), name)(f"theirs {name}")
    assert [line["event"] for line in caught.parsed()] == seen


def test_secrets_are_masked(lines: Lines) -> None:
    """Neither a secret's own field nor a password or token within a text reaches the output."""
    structlog.get_logger().info(
        "connect to postgresql://wfs:hunter1@db/wfs failed",
        executor_token="hunter2",
        request={"Authorization": "Bearer hunter3", "items": [{"api-key": "hunter4"}]},
        error=ConnectionError("redis://:hunter5@cache:6379 says no"),
        header="authorization: Bearer hunter6.x-y",
        tokens_used=7,
    )
    logging.getLogger("a.library").error("GET http://u:hunter7@host/?password=hunter8")
    assert b"hunter" not in lines.getvalue()
    assert lines.parsed()[0]["tokens_used"] == 7


def test_a_traceback_keeps_no_secret(lines: Lines) -> None:
    """Masking comes after the traceback was written out."""
    structlog.get_logger().error("failed", exc_info=ValueError("postgresql://wfs:hunter1@db/wfs"))
    assert b"ValueError" in lines.getvalue()
    assert b"hunter" not in lines.getvalue()


@pytest.mark.parametrize("value", [2**70, "\ud800", {1: {2: object()}}, b"\xff", float("nan"), {"a", "b"}])
def test_any_value_makes_a_line(lines: Lines, value: object) -> None:
    """Whatever a caller hands over, the line is written and is JSON."""
    structlog.get_logger().info("odd", value=value)
    assert lines.parsed()[0]["event"] == "odd"


def test_a_cyclic_value_makes_a_line(lines: Lines) -> None:
    """A value that contains itself ends somewhere."""
    cyclic: list[object] = []
    cyclic.append(cyclic)
    structlog.get_logger().info("odd", value=cyclic)
    assert lines.parsed()[0]["event"] == "odd"


def samples(metrics: Metrics, accept: str = "") -> dict[tuple[str, tuple[str, ...]], float]:
    """All samples by name and label values, these in the order of the labels' names."""
    text, _ = metrics.render(accept)
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_specified_metrics_exist_from_the_start() -> None:
    """The specified names are there before anything happened, with a series per final status."""
    found = samples(Metrics())
    assert found["workflow_service_executions_total", ()] == 0
    assert found["workflow_service_up", ()] == 0
    assert found["workflowexecution_active_total", ()] == 0
    assert all(found["workflowexecution_total", (str(status),)] == 0 for status in FINAL_EXECUTION)


def test_what_happens_is_counted_once() -> None:
    """Each happening shows in its metrics and in no others."""
    metrics = Metrics()
    metrics.up(True)
    metrics.execution_ended(status="completed", seconds=12.0)
    metrics.active({"running": 2, "queued": 1})
    metrics.active({"running": 1})
    metrics.step_ended(action="scale_deployment", status="succeeded", seconds=0.2)
    metrics.http_request(method="GET", route="/health", code=200, seconds=0.001)
    metrics.http_request(method="BREW", route="unmatched", code=405, seconds=0.001)
    metrics.queued({"running": 4})
    metrics.first_call(seconds=0.1)
    found = samples(metrics)
    assert found["workflow_service_up", ()] == 1
    assert found["workflow_service_executions_total", ()] == 1
    assert found["workflowexecution_total", ("completed",)] == 1
    assert found["workflowexecution_duration_seconds_bucket", ("10.0",)] == 0
    assert found["workflowexecution_duration_seconds_bucket", ("20.0",)] == 1
    assert found["workflowexecution_active_total", ()] == 1
    assert found["wfs_executions_active", ("queued",)] == 0
    assert found["workflowexecution_step_execution_total", ("scale_deployment", "succeeded")] == 1
    assert found["workflowexecution_step_execution_duration_seconds_count", ("scale_deployment",)] == 1
    assert found["http_requests_total", ("200", "GET", "/health")] == 1
    assert found["http_requests_total", ("405", "other", "unmatched")] == 1
    assert found["wfs_queue_depth", ("running",)] == 4
    assert found["wfs_start_latency_seconds_count", ()] == 1


def test_two_services_in_one_process_do_not_share_metrics() -> None:
    """There is no global registry."""
    one, other = Metrics(), Metrics()
    one.up(True)
    assert samples(other)["workflow_service_up", ()] == 0


def test_the_scraper_chooses_the_format() -> None:
    """OpenMetrics for who asks for it, plain text for everybody else."""
    _, plain = Metrics().render("*/*")
    text, open_metrics = Metrics().render("application/openmetrics-text; version=1.0.0")
    assert plain.startswith("text/plain")
    assert open_metrics.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
