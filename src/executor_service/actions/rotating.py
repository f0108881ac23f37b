"""Family secrets: new random values in place of secrets that may have leaked. No value is stored, logged or told."""

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field

from executor_service.actions.managed import PUTS_BACK, managed_by
from executor_service.actions.requirements import rights, setting
from executor_service.actions.restarts import roll
from executor_service.actions.run import Planned, Run
from executor_service.actions.spec import ActionSpec, Done, Namespaced
from executor_service.actions.workloads import controller_of
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef
from executor_service.kubernetes.pointers import escape
from executor_service.kubernetes.writing import plan_creation, plan_patch

ROTATED_BY = "kubernaut.io/rotated-by"
_TYPES = frozenset({"Opaque", "kubernetes.io/basic-auth"})
_USERS = ("Deployment", "StatefulSet", "DaemonSet")


class RotateSecrets(Namespaced):
    """Parameters of rotate_secrets."""

    keys: Annotated[
        list[Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]] | None,
        Field(min_length=1, max_length=50, description="Keys that get a new random value; needed with several keys"),
    ] = None
    restart_pods: bool = Field(default=True, description="Restart the workloads that use the secret")
    backup_old_secret: bool = Field(default=True, description="Keep a copy in the cluster; without it there is no undo")


async def rotate_secrets(run: Run, parameters: RotateSecrets) -> Done:
    """Copy the secret, write new random values, restart who uses it."""
    ref = ObjectRef("Secret", parameters.namespace, parameters.resource_name)
    _refuse_unlisted(run, ref)
    copy = ObjectRef("Secret", ref.namespace, f"{ref.name[:200]}-before-{run.mark}")
    if parameters.backup_old_secret:
        await run.change("copy", copy, lambda: _copied(run, ref, copy, parameters))

    async def plan() -> Planned:
        current = await run.read(ref)
        chosen = _keys(ref, current, parameters.keys)
        write = plan_patch(ref, current, {f"/metadata/annotations/{escape(ROTATED_BY)}": run.mark})
        if write is None:
            return None
        sealed: dict[str, dict[str, Json]] = {f"/data/{escape(key)}": {"from": "chance"} for key in chosen}
        where = {"copy": {"namespace": copy.namespace, "name": copy.name}} if parameters.backup_old_secret else {}
        users = await _users(run, ref) if parameters.restart_pods else []
        return replace(write, sealed=sealed, notes=where | {"users": users, "keys": chosen}), current

    write = await run.change("values", ref, plan)
    if write is None:
        raise ActionFailedError(ErrorClass.CONFLICT, f"{ref} carries the mark of this order, but nobody recorded it")
    for kind, name in write.notes["users"]:
        await run.progress(f"restarting {kind} {name}")
        await roll(run, ObjectRef(kind, ref.namespace, name), slot=f"restart:{kind}/{name}")
    restarted = [f"{kind}/{name}" for kind, name in write.notes["users"]]
    facts = {"keys": write.notes["keys"], "restarted": restarted}
    facts |= {"backup": copy.name} if parameters.backup_old_secret else {}
    verb = "would get" if run.dry_run else "got"
    return Done(f"{ref} {verb} {len(write.notes['keys'])} new values", facts)


def _refuse_unlisted(run: Run, ref: ObjectRef) -> None:
    name = f"{ref.namespace}/{ref.name}"
    if not any(fnmatchcase(name, pattern) for pattern in run.world.allowed.secrets):
        raise ActionFailedError(ErrorClass.FORBIDDEN, f"{ref} is not among ROTATABLE_SECRETS", refused=True)


async def _copied(run: Run, ref: ObjectRef, copy: ObjectRef, parameters: RotateSecrets) -> Planned:
    current = await run.read(ref)
    _keys(ref, current, parameters.keys)
    source = {"from": "copy", "namespace": ref.namespace, "name": ref.name, "pointer": "/data"}
    content = {"type": current.get("type", "Opaque")}
    return plan_creation(copy, content, run.mark, sealed={"/data": source}, kept=True)


def _keys(ref: ObjectRef, secret: dict[str, Json], wanted: list[str] | None) -> list[str]:
    """The keys to change. Raises where a random value would be nonsense, or would be put back at once."""
    known = sorted(secret.get("data") or {})
    kind = secret.get("type", "Opaque")
    if kind not in _TYPES:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} is of type {kind}: a random value makes no sense there")
    if secret.get("immutable"):
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} is immutable")
    owner, tool = controller_of(secret), managed_by(secret)
    if owner is not None:
        text = f"{ref} is written by {owner['kind']} {owner['name']}: rotate it there"
        raise ActionFailedError(ErrorClass.PERMANENT, text)
    if tool is not None and tool.partition(" (")[0] in PUTS_BACK:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} is kept in shape by {tool}: rotate it there")
    if wanted is None and len(known) != 1:
        raise ActionFailedError(ErrorClass.PERMANENT, f"{ref} has the keys {', '.join(known)}: name those to rotate")
    missing = sorted(set(wanted or ()) - set(known))
    if missing:
        raise ActionFailedError(ErrorClass.NOT_FOUND, f"{ref} has no key {', '.join(missing)}")
    return sorted(set(wanted)) if wanted else known


async def _users(run: Run, ref: ObjectRef) -> list[list[str]]:
    """The workloads of the namespace whose pods read the secret, as [kind, name]."""
    found: list[list[str]] = []
    for kind in _USERS:
        items = await run.list(kind, ref.namespace)
        found += [[kind, i["metadata"]["name"]] for i in items if _mentions(i["spec"]["template"]["spec"], ref.name)]
    return found


def _mentions(pod: dict[str, Json], name: str) -> bool:
    volumes = pod.get("volumes") or []
    if any((volume.get("secret") or {}).get("secretName") == name for volume in volumes):
        return True
    projected = [part for volume in volumes for part in (volume.get("projected") or {}).get("sources") or []]
    if any((part.get("secret") or {}).get("name") == name for part in projected):
        return True
    containers = [*pod["containers"], *(pod.get("initContainers") or [])]
    refs = [entry.get("secretRef") or {} for item in containers for entry in item.get("envFrom") or []]
    values = [
        (entry.get("valueFrom") or {}).get("secretKeyRef") for item in containers for entry in item.get("env") or []
    ]
    return any(entry.get("name") == name for entry in [*refs, *(value for value in values if value)])


SPECS = (
    ActionSpec(
        name="rotate_secrets",
        family="secrets",
        description="Write new random values into a Secret, keep the old ones in a copy, restart who uses it.",
        parameters=RotateSecrets,
        target_kinds=("Secret",),
        risk="high",
        timeout_seconds=600,
        perform=rotate_secrets,
        needs=(
            rights("Secret", "get", "create", "patch"),
            *(rights(kind, "get", "list", "patch") for kind in _USERS),
            rights("ReplicaSet", "list"),
            rights("Pod", "list"),
        ),
        requires=(setting("ROTATABLE_SECRETS"),),
        done_when="every workload that reads the secret is restarted and ready",
        undone_by="the values come back from the copy, then the workloads are restarted again; the copy stays",
        undone_forwards=True,
    ),
)
