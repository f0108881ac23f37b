"""Family notifications: tell people, change nothing."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.run import Run
from executor_service.actions.spec import NAME_PATTERN, ActionSpec, Done, Parameters
from executor_service.contract import ActionFailedError, Json

_ALIASES: dict[str, dict[str, dict[str, Json]]] = {
    "notify_only": {"notify": {}, "notification": {}},
    "log_incident": {"log": {}},
}
_ALERT_FIELDS = ("name", "severity", "namespace", "resource")


class Notify(Parameters):
    """Parameters of every notification."""

    message: Annotated[str, Field(min_length=1, max_length=4000, description="What to say")]
    namespace: Annotated[
        str | None, Field(pattern=NAME_PATTERN, max_length=63, description="Namespace it is about")
    ] = None
    severity: Literal["info", "warning", "critical"] = Field(default="info", description="How urgent it is")


class NotifyTeam(Notify):
    """Parameters of notify_team."""

    team: Annotated[str | None, Field(max_length=200, description="Which team")] = None


def _telling(audience: str) -> Callable[[Run, Notify], Awaitable[Done]]:
    async def tell(run: Run, parameters: Notify) -> Done:
        notice = _notice(run, parameters, audience)
        delivered: list[str] = []
        for channel in run.world.channels.configured:
            try:
                # mypy infers no lambda that has a default.
                await run.deliver(channel, lambda to=channel: run.world.channels.deliver(to, notice))  # type: ignore[misc]
            except ActionFailedError as error:
                error.result = {"channels": delivered, "failed_channel": channel}
                raise
            delivered.append(channel)
        verb = "would be told" if run.dry_run else "told"
        return Done(f"{audience} {verb} over {', '.join(delivered)}", {"channels": delivered})

    return tell


def _notice(run: Run, parameters: Notify, audience: str) -> dict[str, Json]:
    alert = run.request.get("alert") or {}
    about = {name: alert[name] for name in _ALERT_FIELDS if alert.get(name)}
    context = run.request.get("context") or {}
    return {
        "key": run.key,
        "action": run.type,
        "audience": audience,
        "team": getattr(parameters, "team", None),
        "severity": parameters.severity,
        "message": parameters.message,
        "namespace": parameters.namespace,
        "reason": parameters.reason,
        "alert": about,
        "workflow_id": context.get("workflow_id"),
    }


def _spec(action_type: str, description: str, audience: str, parameters: type[Notify] = Notify) -> ActionSpec:
    return ActionSpec(
        name=action_type,
        family="notifications",
        description=description,
        parameters=parameters,
        target_kinds=(),
        risk="low",
        timeout_seconds=30,
        perform=_telling(audience),
        changes=False,
        irreversible_reason="a message cannot be taken back",
        aliases=_ALIASES.get(action_type, {}),
        done_when="every configured channel has taken the message",
    )


SPECS = (
    _spec("notify_only", "Tell the configured channels, change nothing.", "everybody"),
    _spec("notify_oncall", "Tell whoever is on call.", "on-call"),
    _spec("notify_team", "Tell a team.", "team", NotifyTeam),
    _spec("log_incident", "Record an incident in the log and the configured channels.", "incident log"),
)
