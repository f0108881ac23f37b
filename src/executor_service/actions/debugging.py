"""Family debugging: more words in the log for a while."""

from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.requirements import rights
from executor_service.actions.resources import choose_container
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import NAME_PATTERN, ActionSpec, Done, Namespaced
from executor_service.actions.workloads import rollout_facts, wait_for_rollout
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.pointers import keyed, resolve
from executor_service.kubernetes.writing import plan_patch

_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}


class EnableDebugMode(Namespaced):
    """Parameters of enable_debug_mode."""

    resource_type: Literal["deployment", "statefulset", "daemonset"] = Field(
        default="deployment", description="Kind of the workload"
    )
    duration: Annotated[str, Field(pattern=r"^[1-9]\d{0,4}(s|m|h)$", description="Until it is taken back, as 30m")] = (
        "1h"
    )
    auto_revert: bool = Field(default=True, description="Take it back after the duration")
    variable: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128, description="Environment variable to set")
    ] = "LOG_LEVEL"
    log_level: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64, description="Its value")] = "debug"
    container_name: Annotated[
        str | None, Field(pattern=NAME_PATTERN, max_length=63, description="Needed with several containers")
    ] = None


async def enable_debug_mode(run: Run, parameters: EnableDebugMode) -> Done:
    """Set a variable in a container's environment, restart its pods, and take it back when the time is over."""
    ref = ObjectRef(_KINDS[parameters.resource_type], parameters.namespace, parameters.resource_name)

    async def plan() -> Planned:
        current = await run.read(ref)
        containers = current["spec"]["template"]["spec"]["containers"]
        names = [item["name"] for item in containers]
        name = names[choose_container(ref, names, parameters.container_name)]
        at = f"/spec/template/spec/containers/{keyed(name=name)}/env/{keyed(name=parameters.variable)}"
        known: Json = resolve(current, at)
        if known is not None and "valueFrom" in known:
            text = f"{ref}: {parameters.variable} comes from elsewhere (valueFrom) and is not replaced"
            raise ActionFailedError(ErrorClass.PERMANENT, text)
        write = plan_patch(ref, current, {at: {"name": parameters.variable, "value": parameters.log_level}})
        return (write, current) if write else None

    write = await run.change("environment", ref, plan)
    if write is None:
        return Done(f"{ref} has {parameters.variable} so already", {"already": True} | await rollout_facts(run, ref))
    await wait_for_rollout(run, ref)
    seconds = int(parameters.duration[:-1]) * _UNIT_SECONDS[parameters.duration[-1]]
    facts = await rollout_facts(run, ref) | {"reverts_after_seconds": seconds if parameters.auto_revert else None}
    text = f"{ref} {'would get' if run.dry_run else 'got'} {parameters.variable}={parameters.log_level}"
    return Done(text, facts, take_back_after=float(seconds) if parameters.auto_revert else None)


SPECS = (
    ActionSpec(
        name="enable_debug_mode",
        family="debugging",
        description="Set a log level in a workload's environment for a while; its pods are replaced, twice.",
        parameters=EnableDebugMode,
        target_kinds=("Deployment", "StatefulSet", "DaemonSet"),
        risk="medium",
        timeout_seconds=300,
        perform=enable_debug_mode,
        needs=(
            *(rights(kind, "get", "patch") for kind in _KINDS.values()),
            rights("ReplicaSet", "list"),
            rights("Pod", "list"),
        ),
        done_when="every pod has the variable and is ready; the undo follows under the key `<key>:auto-revert`",
        undone_by="the variable gets its earlier value, or goes",
    ),
)
