"""Reading the policy file: YAML to a policy, every flaw with its line; and reading it again when it changes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from workflow_service.domain.alert import shown
from workflow_service.domain.catalogue import Risk
from workflow_service.domain.errors import InvalidPolicy, Violation
from workflow_service.domain.policy import (
    Blast,
    Breaker,
    Budgets,
    Environment,
    Freeze,
    Oscillation,
    Policy,
    RiskRule,
    Rung,
    Scope,
    Word,
)
from workflow_service.domain.silence import Silence, Weekly, flaws
from workflow_service.planning.policy_format import FreezeIn, PolicyIn, ScopeIn
from workflow_service.planning.step_format import Flaw
from workflow_service.planning.yaml_reading import NotYaml, Reading
from workflow_service.watched_file import WatchedFile

MAX_BYTES = 1024 * 1024
_WORDS: Mapping[str, Word] = {"allow": Word.ALLOWED, "approve": Word.NEEDS_APPROVAL, "deny": Word.DENIED}
_LONG_AGO, _FAR = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

log = structlog.get_logger(__name__)


def read_policy(path: Path, defaults: Policy) -> Policy:
    """The policy in the file at `path`; what it does not say is as in `defaults`.

    Raises:
        InvalidPolicy: the file cannot be read, or breaks the format; every flaw is named.
    """
    try:
        return load_policy(path.read_text("utf-8"), defaults)
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid([Violation("policy file", str(path), f"cannot be read: {error}")]) from error


def load_policy(text: str, defaults: Policy) -> Policy:
    """The policy that a policy file's text holds.

    Raises:
        InvalidPolicy: with every flaw; the field names carry the line, such as `risk.0.high (line 12)`.
    """
    reading = Reading(most=MAX_BYTES)
    try:
        document = reading.document(text)
    except NotYaml as error:
        raise _invalid([Violation("policy file", shown(text[:40]), f"is not YAML: {error}")]) from error
    given = None if reading.flaws else _given(document, reading)
    for index, freeze in enumerate(given.freezes if given else ()):
        for wrong in _wrong_times(freeze):
            reading.flaws.append((("freezes", index, *wrong.field.split(".")), wrong.value, wrong.rule))
    if given is None or reading.flaws:
        raise _invalid([_violation(reading, flaw) for flaw in reading.flaws])
    version = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return _policy(given, replace(defaults, version=f"policy-{version}"))


def differences(before: Policy, after: Policy) -> list[str]:
    """What is not the same in two policies, one line each."""
    old, new = dict(values(before)), dict(values(after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name) and name != "version"]
    return [f"{name}: {old.get(name, 'nothing')} -> {new.get(name, 'nothing')}" for name in sorted(names)]


def values(policy: Policy) -> Iterator[tuple[str, str]]:
    """Everything that a policy says, by name."""
    return _leaves(asdict(policy), "")


class PolicyFile:
    """The policy as its file says now; call it. A file that has become wrong changes nothing."""

    def __init__(self, path: Path, defaults: Policy, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read it.

        Raises:
            InvalidPolicy: it cannot be used.
        """
        self._path, self._defaults = path, defaults
        self._file = WatchedFile(path, monotonic=monotonic)
        self._policy = read_policy(path, defaults)

    def __call__(self) -> Policy:
        """The policy."""
        if self._file.changed():
            self._reread()
        return self._policy

    def _reread(self) -> None:
        try:
            found = read_policy(self._path, self._defaults)
        except InvalidPolicy as error:
            where, kept = str(self._path), self._policy.version
            log.warning("the policy file cannot be used; the policy stays", file=where, why=str(error), version=kept)
            return
        changes = differences(self._policy, found)
        log.info("the policy has changed", before=self._policy.version, version=found.version, changes=changes)
        self._policy = found


def _given(document: object, reading: Reading) -> PolicyIn | None:
    try:
        return PolicyIn.model_validate_json(json.dumps(document))
    except ValidationError as error:
        for one in error.errors(include_url=False):
            reading.flaws.append((tuple(one["loc"]), one["input"], one["msg"][:200]))
        return None


def _policy(given: PolicyIn, policy: Policy) -> Policy:
    namespaces, kinds = given.protected.namespaces, given.protected.kinds
    tried = given.oscillation
    return replace(
        policy,
        environments=tuple(
            Environment(one.name, tuple(one.namespaces), tuple(one.clusters)) for one in given.environments
        ),
        protected_namespaces=policy.protected_namespaces if namespaces is None else tuple(namespaces),
        protected_kinds=policy.protected_kinds if kinds is None else tuple(kinds),
        allow=tuple(map(_scope, given.allow)),
        deny=tuple(map(_scope, given.deny)),
        risk=tuple(
            RiskRule(tuple(one.environments), {risk: _WORDS[getattr(one, risk.value)] for risk in Risk})
            for one in given.risk
        ),
        blast=Blast(**given.blast.model_dump()),
        budgets=Budgets(**given.budgets.model_dump()),
        freezes=tuple(map(_freeze, given.freezes)),
        oscillation=Oscillation(tried.times, timedelta(hours=tried.within_hours)) if tried else Oscillation(),
        breaker=Breaker(**given.breaker.model_dump()) if given.breaker else Breaker(),
        plan_size=given.plan_size,
        confidence=policy.confidence if given.confidence is None else given.confidence,
        autonomy=tuple(Rung(one.level, tuple(one.plans), tuple(one.environments)) for one in given.autonomy),
    )


def _scope(given: ScopeIn) -> Scope:
    return Scope(
        environments=tuple(given.environments),
        namespaces=tuple(given.namespaces),
        identities=tuple(given.identities),
        methods=tuple(given.creation_methods),
        actions=tuple(given.actions),
    )


def _freeze(given: FreezeIn) -> Freeze:
    weekly = given.weekly
    window = Silence(
        id=given.name,
        kind="freeze",
        match="true",
        starts_at=given.starts_at.astimezone(UTC) if given.starts_at else _LONG_AGO,
        ends_at=given.ends_at.astimezone(UTC) if given.ends_at else _FAR,
        weekly=Weekly(**{**weekly.model_dump(), "weekdays": tuple(weekly.weekdays)}) if weekly else None,
    )
    return Freeze(given.name, _scope(given), window, given.reason)


def _wrong_times(given: FreezeIn) -> Iterator[Violation]:
    if given.weekly is None and (given.starts_at is None or given.ends_at is None):
        yield Violation("name", given.name, "must have starts_at and ends_at, or weekly")
        return
    window = _freeze(given).window
    if window.ends_at <= window.starts_at:
        yield Violation("ends_at", window.ends_at.isoformat(), "must be after starts_at")
    year = replace(window, starts_at=_LONG_AGO, ends_at=_LONG_AGO + timedelta(days=1))  # it may last for years
    yield from flaws(year)


def _leaves(value: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{at}.{name}" if at else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{at}.{index}")
    else:
        yield at, str(value)


def _violation(reading: Reading, flaw: Flaw) -> Violation:
    at, value, rule = flaw
    mark = reading.mark(at)
    line = f" (line {mark.line})" if mark else ""
    return Violation((".".join(map(str, at)) or "policy file") + line, shown(value), rule)


def _invalid(violations: list[Violation]) -> InvalidPolicy:
    return InvalidPolicy("the policy file is not valid", violations)
