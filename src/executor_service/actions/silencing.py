"""Family monitoring: silences of Alertmanager, and questions to Prometheus."""

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.requirements import setting
from executor_service.actions.run import Run
from executor_service.actions.spec import ActionSpec, Done, Parameters
from executor_service.alertmanager import state_of
from executor_service.contract import ActionFailedError, ErrorClass, FieldChange, Json, ObjectRef, Verb, Write
from executor_service.prometheus import PrometheusError, QueryRefusedError

_TRIES, _PAUSE_SECONDS = 3, 0.3
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86400}
Duration = Annotated[str, Field(pattern=r"^[1-9]\d{0,3}(m|h|d)$", description="How long, such as 30m, 2h or 1d")]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]


class CreateSilence(Parameters):
    """Parameters of create_silence."""

    matchers: Annotated[
        dict[LabelName, Annotated[str, Field(max_length=1000)]],
        Field(min_length=1, max_length=20, description="Labels and the exact values that an alert must have"),
    ]
    duration: Duration = "1h"
    comment: Annotated[str, Field(min_length=1, max_length=1000, description="Why nobody needs to hear of it")]


class ExpireSilence(Parameters):
    """Parameters of expire_silence."""

    silence_id: Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{1,64}$", description="Id of the silence")]


class QueryMetrics(Parameters):
    """Parameters of query_metrics."""

    query: Annotated[str, Field(min_length=1, max_length=4096, description="PromQL, evaluated now")]
    comparison: Annotated[
        Literal["<", "<=", ">", ">=", "=="] | None,
        Field(description="With threshold: the action fails unless it holds"),
    ] = None
    threshold: Annotated[float | int | None, Field(description="What the first value is compared with")] = None


async def create_silence(run: Run, parameters: CreateSilence) -> Done:
    """Silence the alerts that match, once per key: a silence that carries our mark is ours."""
    if all(value == "" for value in parameters.matchers.values()):
        raise ActionFailedError(ErrorClass.PERMANENT, "matchers: only empty values would silence everything")
    planned = Write(
        Verb.SILENCE, ObjectRef("Silence", None, run.mark), fields=(FieldChange("", None, _body(run, parameters)),)
    )

    async def send(write: Write) -> Write:
        silence_id = await _made(run, write.fields[0].after)
        return Write(Verb.SILENCE, ObjectRef("Silence", None, silence_id), fields=write.fields)

    write = await run.outside("silence", planned, send)
    body = write.fields[0].after
    facts = {"silence_id": None if run.dry_run else write.ref.name, "ends_at": body["endsAt"]}
    return Done(f"alerts {'would be' if run.dry_run else 'are'} silent until {body['endsAt']}", facts)


async def _made(run: Run, body: dict[str, Json]) -> str:
    """The id of the silence with our mark, made if need be; after a lost answer it is looked for first."""
    for _ in range(_TRIES - 1):
        try:
            return await _found_or_created(run, body)
        except ActionFailedError as error:
            if error.error_class is not ErrorClass.TRANSIENT:
                raise
            await run.pause(_PAUSE_SECONDS)
    return await _found_or_created(run, body)


async def _found_or_created(run: Run, body: dict[str, Json]) -> str:
    for item in await run.world.alertmanager.silences():
        if _mark(run) in item.get("comment", ""):
            return str(item["id"])
    return await run.world.alertmanager.create(body)


def _mark(run: Run) -> str:
    return f"[kubernaut {run.mark}]"


def _body(run: Run, parameters: CreateSilence) -> dict[str, Json]:
    seconds = int(parameters.duration[:-1]) * _UNIT_SECONDS[parameters.duration[-1]]
    now = time.time()
    matchers = [
        {"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in parameters.matchers.items()
    ]
    return {
        "matchers": matchers,
        "startsAt": _rfc3339(now),
        "endsAt": _rfc3339(now + seconds),
        "createdBy": "kubernaut-executor",
        "comment": f"{parameters.comment} {_mark(run)}",
    }


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def expire_silence(run: Run, parameters: ExpireSilence) -> Done:
    """End a silence; one that has ended is a success."""
    known = await run.world.alertmanager.silence(parameters.silence_id)
    if state_of(known) == "expired" and "expire" not in run.intents:
        return Done(f"silence {parameters.silence_id} has ended already", {"already": True})
    ref = ObjectRef("Silence", None, parameters.silence_id)
    change = FieldChange("/status/state", state_of(known), "expired")

    async def send(write: Write) -> Write:
        await run.world.alertmanager.expire(write.ref.name)
        return write

    await run.outside("expire", Write(Verb.SILENCE, ref, fields=(change,), kept=True), send)
    return Done(f"silence {parameters.silence_id} {'would end' if run.dry_run else 'has ended'}")


async def query_metrics(run: Run, parameters: QueryMetrics) -> Done:
    """Ask Prometheus; with a comparison, fail unless it holds."""
    if (parameters.comparison is None) != (parameters.threshold is None):
        raise ActionFailedError(ErrorClass.PERMANENT, "comparison and threshold belong together", refused=True)
    try:
        facts = (await run.world.prometheus.query(parameters.query)).facts
    except QueryRefusedError as error:
        raise ActionFailedError(ErrorClass.PERMANENT, f"query: Prometheus refuses it: {error}") from error
    except PrometheusError as error:
        raise ActionFailedError(ErrorClass.TRANSIENT, str(error)) from error
    if parameters.comparison is not None and parameters.threshold is not None:
        _compare(facts, parameters.comparison, float(parameters.threshold))
    return Done(f"{len(facts.get('values', []))} values", facts)


def _compare(facts: dict[str, Json], comparison: str, threshold: float) -> None:
    if "value" not in facts:
        raise ActionFailedError(ErrorClass.PERMANENT, "the query has no value to compare", result=facts)
    value = float(facts["value"])
    holds = {
        "<": value < threshold,
        "<=": value <= threshold,
        ">": value > threshold,
        ">=": value >= threshold,
        "==": value == threshold,
    }[comparison]
    if not holds:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{value} is not {comparison} {threshold}", result=facts)


SPECS = (
    ActionSpec(
        name="create_silence",
        family="monitoring",
        description="Silence alerts in Alertmanager for a while.",
        parameters=CreateSilence,
        target_kinds=(),
        risk="medium",
        timeout_seconds=30,
        perform=create_silence,
        requires=(setting("ALERTMANAGER_URL"),),
        aliases={"silence_alert": {}},
        done_when="Alertmanager has taken the silence",
        undone_by="the silence is ended",
    ),
    ActionSpec(
        name="expire_silence",
        family="monitoring",
        description="End a silence of Alertmanager before its time.",
        parameters=ExpireSilence,
        target_kinds=(),
        risk="low",
        timeout_seconds=30,
        perform=expire_silence,
        irreversible_reason="a silence that has ended does not come back; create_silence makes another",
        requires=(setting("ALERTMANAGER_URL"),),
        done_when="Alertmanager calls the silence expired",
    ),
    ActionSpec(
        name="query_metrics",
        family="monitoring",
        description="Ask Prometheus now, and fail when a comparison does not hold; changes nothing.",
        parameters=QueryMetrics,
        target_kinds=(),
        risk="low",
        timeout_seconds=30,
        perform=query_metrics,
        changes=False,
        irreversible_reason="it changes nothing",
        requires=(setting("PROMETHEUS_URL"),),
        parameter_aliases={"promql": "query"},
        done_when="the values are in the result",
    ),
)
