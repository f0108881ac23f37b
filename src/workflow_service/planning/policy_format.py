"""The policy file's format: what may stand where, and the schema of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from workflow_service.domain.policy import Level

Glob = Annotated[str, Field(min_length=1, max_length=253)]
Globs = Annotated[list[Glob], Field(max_length=200)]
Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=1, le=1000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Needs = Literal["allow", "approve", "deny"]
Words = Annotated[str, Field(max_length=500)]


class Part(BaseModel):
    """A part of the file: what is not known is refused, and a text is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class EnvironmentIn(Part):
    """A name for namespaces; the first environment that fits counts, `default` where none does."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    namespaces: Globs = []
    clusters: Globs = []


class ProtectedIn(Part):
    """What is never changed. Where this service runs is protected in any case."""

    namespaces: Globs | None = None
    kinds: Globs | None = None


class ScopeIn(Part):
    """Some places; what is left out means any."""

    environments: Globs = []
    namespaces: Globs = []
    identities: Globs = Field(default=[], description="who ordered it: the proved caller, else X-Service-Name")
    creation_methods: Globs = Field(default=[], description="fallback, template, ai_selected ...")
    actions: Globs = Field(default=[], description="action types of the catalogue")


class RiskIn(Part):
    """What changes of each risk class need there; the first entry that fits counts."""

    environments: Globs = []
    low: Needs = "allow"
    medium: Needs = "allow"
    high: Needs = "allow"


class BlastIn(Part):
    """How much one plan may hit; null: no bound."""

    objects: Count | None = Field(default=50, description="objects that it changes")
    nodes: Count | None = Field(default=1, description="nodes that it changes")
    share_of_replicas: Share | None = Field(default=None, description="that it takes away; one may always go")
    scale_factor: Factor | None = Field(default=2.0, description="of the replicas; one more may always come")
    scale_to_zero: bool = False
    scale_of_rules: bool = Field(default=False, description="whether the two before bind rules and templates too")


class BudgetsIn(Part):
    """How many changes may begin within an hour; null: no bound."""

    target: Count | None = None
    namespace: Count | None = None
    cluster: Count | None = None


class WeeklyIn(Part):
    """Times that come back every week."""

    weekdays: Annotated[list[str], Field(min_length=1, max_length=7)] = Field(description="mon to sun")
    begins: Words = Field(description="HH:MM on the clocks of the time zone")
    until: Words = Field(description="HH:MM; at or before `begins`: on the next day")
    timezone: Words = Field(description="an IANA name such as Europe/Berlin")


class FreezeIn(ScopeIn):
    """A time in which nothing that changes begins: once (`starts_at`, `ends_at`), weekly, or weekly in between."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    reason: Words = ""
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    weekly: WeeklyIn | None = None


class OscillationIn(Part):
    """After so many times without help a person is asked."""

    times: Annotated[int, Field(ge=1, le=1000)]
    within_hours: Annotated[float, Field(gt=0, le=24)] = 6


class BreakerIn(Part):
    """When this share of the last `of` workflows of an environment ended badly, a person is asked until it is reset."""

    share: Annotated[float, Field(gt=0, le=1)]
    of: Annotated[int, Field(ge=2, le=500)] = 20


class RungIn(Part):
    """How much plans of these rules and templates may do by themselves; the first entry that fits counts."""

    level: Level = Field(strict=False)
    plans: Globs = []
    environments: Globs = []


class PolicyIn(Part):
    """The policy of workflow-service's guardrails."""

    version: Literal[1]
    environments: Annotated[list[EnvironmentIn], Field(max_length=200)] = []
    protected: ProtectedIn = ProtectedIn()
    allow: Annotated[list[ScopeIn], Field(max_length=500)] = Field(default=[], description="none: everything")
    deny: Annotated[list[ScopeIn], Field(max_length=500)] = Field(default=[], description="counts before `allow`")
    risk: Annotated[list[RiskIn], Field(max_length=100)] = []
    blast: BlastIn = BlastIn()
    budgets: BudgetsIn = BudgetsIn()
    freezes: Annotated[list[FreezeIn], Field(max_length=200)] = []
    oscillation: OscillationIn | None = None
    breaker: BreakerIn | None = None
    plan_size: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=10, description="steps beyond which a person is asked; null: never"
    )
    confidence: Share | None = Field(default=None, description="null: AI_CONFIDENCE_THRESHOLD")
    autonomy: Annotated[list[RungIn], Field(max_length=500)] = []


def schema() -> dict[str, Any]:
    """The JSON Schema of the policy file."""
    found = PolicyIn.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "workflow-service policy"}
