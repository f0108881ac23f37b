"""A write tried on the API server without effect (dryRun=All): what it would do, or why it would not."""

import asyncio

from executor_service.actions.settling import StalePlanError, taken
from executor_service.contract import Json, Verb, Write
from executor_service.kubernetes import writing
from executor_service.kubernetes.client import KubeClient
from executor_service.kubernetes.errors import ApiError, ApiSilentError, ApiStatusError, failure
from executor_service.kubernetes.pointers import resolve
from executor_service.kubernetes.writing import Standing

_PAUSES = (0.1, 0.4)


async def rehearse(kube: KubeClient, write: Write, current: dict[str, Json]) -> Write:
    """The write with the values that the server would store.

    Raises StalePlanError when the object has changed since it was read, else ActionFailedError with the rejection. An
    answer that never came is asked for again, since nothing can have happened.
    """
    try:
        answer = await _tried(kube, write, current)
    except ApiStatusError as error:
        if write.verb is Verb.CREATE:
            await _refuse_creation(kube, write, error)
            return write
        if await _stale(kube, write, error.code):
            raise StalePlanError from error
        raise failure(error, f"dry run of {write.verb} {write.ref}") from error
    except ApiError as error:
        raise failure(error, f"dry run of {write.verb} {write.ref}") from error
    if write.verb is not Verb.PATCH:
        return write
    return write.with_values_of({item.pointer: resolve(answer, item.pointer) for item in write.fields})


async def _tried(kube: KubeClient, write: Write, current: dict[str, Json]) -> dict[str, Json]:
    for pause in _PAUSES:
        try:
            return await writing.send(kube, write, current, dry_run=True)
        except ApiSilentError:
            await asyncio.sleep(pause)
    return await writing.send(kube, write, current, dry_run=True)


async def _refuse_creation(kube: KubeClient, write: Write, error: ApiStatusError) -> None:
    """Nothing but the object of this very order may stand in the way: then the write itself finds out the same."""
    try:
        there = await kube.find(write.ref) if error.code == 409 else None
    except ApiError:
        there = None
    if there is None:
        raise failure(error, f"dry run of {write.verb} {write.ref}") from error
    if writing.compare(write, there) is not Standing.LANDED:
        raise taken(write) from error


async def _stale(kube: KubeClient, write: Write, code: int) -> bool:
    """Whether the refusal only says that the plan is out of date."""
    if write.verb is not Verb.PATCH:
        return code in {404, 409}
    if code not in {409, 422}:
        return False
    try:
        now = await kube.find(write.ref)
    except ApiError:
        return False
    return now is not None and not writing.conditions_hold(write, now)
