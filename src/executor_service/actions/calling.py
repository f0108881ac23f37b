"""Family custom: a call to a service of one's own."""

from typing import Annotated, Literal

from pydantic import Field

from executor_service.actions.requirements import setting
from executor_service.actions.run import Run
from executor_service.actions.spec import ActionSpec, Done, Parameters
from executor_service.contract import Json, ObjectRef, Verb, Write


class CallWebhook(Parameters):
    """Parameters of call_webhook."""

    url: Annotated[
        str, Field(pattern=r"^https?://[^\s#]+$", max_length=2000, description="Where; must be allow-listed")
    ]
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = Field(default="POST", description="HTTP method")
    payload: dict[str, Json] = Field(default_factory=dict, description="JSON body")


async def call_webhook(run: Run, parameters: CallWebhook) -> Done:
    """Call once; after a lost answer again, with the same Idempotency-Key."""
    run.world.webhooks.check(parameters.url)

    async def send(write: Write) -> Write:
        answer = await run.world.webhooks.call(parameters.method, parameters.url, parameters.payload, key=run.key)
        return write.noting(answer)

    if run.dry_run:
        return Done(f"{parameters.method} would be sent", {"called": False})
    write = await run.outside("call", Write(Verb.DELIVER, ObjectRef("Webhook", None, run.mark)), send)
    return Done(f"the webhook answered {write.notes['status']}", dict(write.notes))


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
        requires=(setting("WEBHOOK_ALLOWED_HOSTS"),),
        aliases={"webhook": {}},
        done_when="the address has answered 2xx",
    ),
)
