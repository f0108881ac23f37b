"""Work that only a program inside the cluster can do: a Job from the operator's template, watched to its end."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from executor_service.actions.requirements import Rule, rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.secret_values import SecretValue, expect
from executor_service.actions.spec import Parameters
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.templates import Template
from executor_service.kubernetes.writing import plan_creation

NEEDS: tuple[Rule, ...] = (rights("Job", "get", "create"), rights("Pod", "list"))
PATH = r"^/[A-Za-z0-9._/-]*$"
"""Paths that a template may put into a command."""

_KEPT_SECONDS = 86400  # that a Job stays to be looked at when its template does not say
_LONGEST_MESSAGE = 1000


class WithSecrets(Parameters):
    """Parameters of an action whose Job may be given secret values."""

    secret_env: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)], SecretValue] | None,
        Field(
            min_length=1,
            max_length=20,
            description="Environment of the Job's containers: `{secretRef: {name, key}}` of its namespace",
        ),
    ] = None


async def run_job(
    run: Run, template: str, namespace: str, values: Mapping[str, str], secrets: Mapping[str, SecretValue] | None = None
) -> dict[str, Json]:
    """Create the Job once and wait for its end. Its name, its pods' last words. Raises when it failed or took too long.

    When the deadline comes first, the Job is ended by Kubernetes at the same time (activeDeadlineSeconds). `secrets`
    become variables that refer to their Secrets, so that the Job holds no value either.
    """
    ref = ObjectRef("Job", namespace, f"kubernaut-{template.replace('_', '-')[:30]}-{run.mark}")

    async def plan() -> Planned:
        here = await run.world.around()
        found = here.templates.get(template)
        if not isinstance(found, Template):
            raise ActionFailedError(ErrorClass.PERMANENT, found or f"JOB_TEMPLATES has no {template}.yaml")
        for value in (secrets or {}).values():
            await expect(run, value, namespace)
        job = _job(found, {"namespace": namespace, **values}, run.seconds_left)
        _give(job, secrets or {})
        return plan_creation(ref, job, run.mark)

    await run.change("job", ref, plan)
    if run.dry_run:
        return {"job": ref.name}
    await run.until(lambda: _missing(run, ref))
    return {"job": ref.name, "said": await _last_words(run, ref)}


def _job(template: Template, values: Mapping[str, str], seconds: float) -> dict[str, Json]:
    try:
        document = template.filled(values)
    except KeyError as error:
        text = f"the Job template asks for {error}, which this action does not have ({', '.join(sorted(values))})"
        raise ActionFailedError(ErrorClass.PERMANENT, text) from error
    spec: dict[str, Json] = document["spec"]
    spec.setdefault("ttlSecondsAfterFinished", _KEPT_SECONDS)
    spec["activeDeadlineSeconds"] = max(1, min(int(seconds), int(spec.get("activeDeadlineSeconds") or seconds)))
    given = document.get("metadata") or {}
    kept = {name: given[name] for name in ("labels", "annotations") if given.get(name)}
    return {"metadata": kept, "spec": spec}


def _give(job: dict[str, Json], secrets: Mapping[str, SecretValue]) -> None:
    """Let all containers of the Job refer to the secrets; what the template says of a variable gives way."""
    given = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": one.secret_ref.name, "key": one.secret_ref.key}}}
        for name, one in secrets.items()
    ]
    for container in job["spec"]["template"]["spec"]["containers"] if given else ():
        kept = [entry for entry in container.get("env") or [] if entry.get("name") not in secrets]
        container["env"] = [*kept, *given]


async def _missing(run: Run, ref: ObjectRef) -> str | None:
    status = (await run.read(ref)).get("status") or {}
    ended = {item["type"]: item for item in status.get("conditions") or [] if item["status"] == "True"}
    if "Failed" in ended:
        said = await _last_words(run, ref)
        text = f"{ref} failed: {ended['Failed'].get('reason')}: {ended['Failed'].get('message')}"
        raise ActionFailedError(ErrorClass.PERMANENT, text, result={"job": ref.name, "said": said})
    return None if "Complete" in ended else f"{ref} works: {status.get('active', 0)} active pods"


async def _last_words(run: Run, ref: ObjectRef) -> list[str]:
    """The termination messages of the Job's pods: what a program says on purpose, unlike its log."""
    pods = await run.list("Pod", ref.namespace)
    ours = [
        pod for pod in pods if any(owner["name"] == ref.name for owner in pod["metadata"].get("ownerReferences") or [])
    ]
    states = [
        entry.get("state") or {} for pod in ours for entry in (pod.get("status") or {}).get("containerStatuses") or []
    ]
    said = [(state.get("terminated") or {}).get("message") for state in states]
    return [_plain(text) for text in said if text]


def _plain(text: str) -> str:
    return re.sub(r"[^\x20-\x7e\n]", "?", text)[:_LONGEST_MESSAGE]
