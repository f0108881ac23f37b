"""Family custom: a call to a service of one's own."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from executor_service.actions.requirements import setting
from executor_service.actions.run import Run
from executor_service.actions.secret_values import NEEDS_WITH, SecretValue, resolve
from executor_service.actions.spec import ActionSpec, Done, Parameters
from executor_service.contract import ActionFailedError, ErrorClass, Json, ObjectRef, Verb, Write

_OURS = frozenset({"connection", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding"})
_PLAIN = re.compile(r"[\x20-\x7e]+")  # what a header may hold (RFC 9110 field-content)


class CallWebhook(Parameters):
    """Parameters of call_webhook."""

    url: Annotated[
        str, Field(pattern=r"^https?://[^\s#]+$", max_length=2000, description="Where; must be allow-listed")
    ]
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = Field(default="POST", description="HTTP method")
    payload: dict[str, Json] = Field(default_factory=dict, description="JSON body")
    headers: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$", max_length=100)], SecretValue] | None,
        Field(
            min_length=1,
            max_length=10,
            description="Headers with secret values, `{secretRef: {name, key}}` of the executor's own namespace",
        ),
    ] = None

    @field_validator("headers")
    @classmethod
    def _not_ours(cls, given: dict[str, SecretValue] | None) -> dict[str, SecretValue] | None:
        for name in given or {}:
            if name.lower() in _OURS:
                raise ValueError(f"{name} is set by the executor itself")
        return given


async def call_webhook(run: Run, parameters: CallWebhook) -> Done:
    """Call once; after a lost answer again, with the same Idempotency-Key."""
    run.world.webhooks.check(parameters.url)

    async def send(write: Write) -> Write:
        secrets = await _headers(run, parameters)
        method, url, body = parameters.method, parameters.url, parameters.payload
        return write.noting(await run.world.webhooks.call(method, url, body, key=run.key, secrets=secrets))

    if run.dry_run:
        await _headers(run, parameters)
        return Done(f"{parameters.method} would be sent", {"called": False})
    write = await run.outside("call", Write(Verb.DELIVER, ObjectRef("Webhook", None, run.mark)), send)
    return Done(f"the webhook answered {write.notes['status']}", dict(write.notes))


async def _headers(run: Run, parameters: CallWebhook) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in (parameters.headers or {}).items():
        namespace = run.world.guard.policy.own_namespace
        if namespace is None:
            text = "headers: POD_NAMESPACE does not say in which namespace the executor's own secrets are"
            raise ActionFailedError(ErrorClass.PERMANENT, text)
        found[name] = await resolve(run, value, namespace)
        if not _PLAIN.fullmatch(found[name]):
            text = f"headers.{name}: the value of {value.secret_ref.key!r} is empty or holds what no header may hold"
            raise ActionFailedError(ErrorClass.PERMANENT, text)
    return found


SPECS = (
    ActionSpec(
        name="call_webhook",
        family="custom",
        description="Call an allow-listed HTTP address with a JSON body and the key of the order.",
        parameters=CallWebhook,
        target_kinds=(),
        risk="high",
        timeout_seconds=30,
        perform=call_webhook,
        changes=True,
        irreversible_reason="what the called service did is its own",
        needs_with=NEEDS_WITH,
        requires=(setting("WEBHOOK_ALLOWED_HOSTS"),),
        aliases={"webhook": {}},
        done_when="the address has answered 2xx",
    ),
)
