"""Family policies: who may talk to whom."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from executor_service.actions.requirements import rights
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef, Verb
from executor_service.kubernetes.writing import plan_creation, plan_patch


class Rules(BaseModel):
    """What a NetworkPolicy allows; a list that is not given stays, an empty one allows nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ingress: Annotated[list[dict[str, Json]] | None, Field(max_length=100, description="Who may come in")] = None
    egress: Annotated[list[dict[str, Json]] | None, Field(max_length=100, description="Where to go")] = None
    policy_types: Annotated[
        list[Literal["Ingress", "Egress"]] | None, Field(min_length=1, max_length=2, description="What is restricted")
    ] = None
    pod_selector: Annotated[
        dict[str, Json] | None, Field(description="For which pods; needed for a policy that does not exist yet")
    ] = None


class UpdateNetworkPolicy(Namespaced):
    """Parameters of update_network_policy."""

    rules: Rules = Field(description="New rules, as in a NetworkPolicy's spec")
    create: bool = Field(default=False, description="Create the policy when it does not exist")


async def update_network_policy(run: Run, parameters: UpdateNetworkPolicy) -> Done:
    """Replace a policy's rules, or create the policy when asked to. The API server checks the rules."""
    ref = ObjectRef("NetworkPolicy", parameters.namespace, parameters.resource_name)
    wanted = _spec(parameters.rules)
    if not wanted:
        raise ActionFailedError(ErrorClass.PERMANENT, "rules: nothing was given to change", refused=True)

    async def plan() -> Planned:
        current = await run.find(ref)
        if current is None:
            return _new(run, ref, wanted, create=parameters.create)
        write = plan_patch(ref, current, {f"/spec/{name}": value for name, value in wanted.items()})
        return (write, current) if write else None

    write = await run.change("policy", ref, plan)
    if write is None:
        return Done(f"{ref} has these rules already", {"already": True})
    return Done(f"{ref} {'would be' if run.dry_run else 'is'} written", {"created": write.verb is Verb.CREATE})


def _spec(rules: Rules) -> dict[str, Json]:
    values = {
        "podSelector": rules.pod_selector,
        "policyTypes": rules.policy_types,
        "ingress": rules.ingress,
        "egress": rules.egress,
    }
    return {name: value for name, value in values.items() if value is not None}


def _new(run: Run, ref: ObjectRef, spec: dict[str, Json], *, create: bool) -> Planned:
    if not create:
        raise ActionFailedError(ErrorClass.NOT_FOUND, f"{ref} does not exist (create: true makes it)")
    if "podSelector" not in spec:
        raise ActionFailedError(ErrorClass.PERMANENT, "rules.pod_selector: is required for a new policy", refused=True)
    return plan_creation(ref, {"spec": spec}, run.mark)


SPECS = (
    ActionSpec(
        name="update_network_policy",
        family="policies",
        description="Replace the rules of a NetworkPolicy, or create one.",
        parameters=UpdateNetworkPolicy,
        target_kinds=("NetworkPolicy",),
        risk="high",
        timeout_seconds=30,
        perform=update_network_policy,
        needs=(rights("NetworkPolicy", "get", "patch", "create", "delete"),),
        undone_by="the earlier rules are written back; a policy that was created is deleted",
    ),
)
