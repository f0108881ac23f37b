"""The rights of the catalogue as Kubernetes roles: one for looking and guarding, one per family of enabled actions."""

from collections.abc import Iterable, Mapping

import yaml

from executor_service.actions.requirements import GUARDING, LOOKING, Rule
from executor_service.actions.spec import ActionSpec
from executor_service.contract import Json

LOOKING_ROLE = "looking"
"""The role that every executor needs, whatever it may change."""
PREFIX = "kubernaut-executor-"
_VERBS = ("get", "list", "create", "patch", "delete")
_RBAC = "rbac.authorization.k8s.io"
_HEAD = """\
# The rights of executor-service, written by `executor-service rbac`; do not edit.
# `looking` is what it needs whatever it may change; each other role is one family of actions: without its binding the
# family's actions end as `forbidden`. No role grants what another one of these grants already.
"""


class UnknownRoleError(ValueError):
    """A family or setting that the catalogue does not have, or a family of which nothing is enabled."""


def enabled(specs: Iterable[ActionSpec], settings: frozenset[str]) -> list[ActionSpec]:
    """The actions that these settings, and whatever a cluster has, can make available."""
    return [spec for spec in specs if {item.setting for item in spec.requires} <= {None, *settings}]


def rules_by_role(specs: Iterable[ActionSpec], settings: frozenset[str]) -> dict[str, tuple[Rule, ...]]:
    """The smallest rules by role: a family has nothing that looking has already; one that needs nothing has no role."""
    looking = _merged((*LOOKING, *GUARDING))
    roles = {LOOKING_ROLE: looking}
    chosen = enabled(specs, settings)
    for family in sorted({spec.family for spec in chosen}):
        members = [spec for spec in chosen if spec.family == family]
        needed = _merged(rule for spec in members for rule in needs_of(spec, settings))
        left = {place: verbs - looking.get(place, set()) for place, verbs in needed.items()}
        roles[family] = {place: verbs for place, verbs in left.items() if verbs}
    return {role: _rules(verbs) for role, verbs in roles.items() if verbs}


def needs_of(spec: ActionSpec, settings: frozenset[str]) -> list[Rule]:
    """What an action needs with these settings."""
    return [*spec.needs, *(rule for name, rules in spec.needs_with.items() if name in settings for rule in rules)]


def chosen_roles(
    specs: list[ActionSpec], *, families: tuple[str, ...], settings: frozenset[str]
) -> dict[str, tuple[Rule, ...]]:
    """Looking and these families (all if none is named). Raises UnknownRoleError."""
    known = sorted({spec.family for spec in specs})
    asked = {item.setting for spec in specs for item in spec.requires if item.setting}
    asked |= {name for spec in specs for name in spec.needs_with}
    for name, value, among in [
        *(("family", family, known) for family in families),
        *(("setting", setting, sorted(asked)) for setting in sorted(settings)),
    ]:
        if value not in among:
            raise UnknownRoleError(f"{name} {value!r} must be one of {', '.join(among)}")
    alive = {spec.family for spec in enabled(specs, settings)}
    for family in families:
        if family not in alive:
            lacking = sorted({str(i.setting) for spec in specs if spec.family == family for i in spec.requires})
            raise UnknownRoleError(f"family {family!r} has no enabled action without --setting {' or '.join(lacking)}")
    roles = rules_by_role(specs, settings)
    return {role: rules for role, rules in roles.items() if not families or role in {LOOKING_ROLE, *families}}


def manifests(roles: Mapping[str, tuple[Rule, ...]], *, namespace: str, account: str, version: str) -> str:
    """ClusterRoles and their bindings to the service account, as YAML."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    documents = [
        document
        for role, rules in roles.items()
        for document in (_role(role, rules, version), _binding(role, subject, version))
    ]
    return _HEAD + yaml.safe_dump_all(documents, sort_keys=False, width=120, explicit_start=True)


def _role(role: str, rules: tuple[Rule, ...], version: str) -> dict[str, Json]:
    listed = [{"apiGroups": [rule.group], "resources": [rule.resource], "verbs": [*rule.verbs]} for rule in rules]
    return _object("ClusterRole", role, version) | {"rules": listed}


def _binding(role: str, subject: dict[str, str], version: str) -> dict[str, Json]:
    ref = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": f"{PREFIX}{role}"}
    return _object("ClusterRoleBinding", role, version) | {"roleRef": ref, "subjects": [dict(subject)]}


def _object(kind: str, role: str, version: str) -> dict[str, Json]:
    about = {"name": "executor-service", "component": "executor", "part-of": "kubernaut", "version": version}
    labels = {f"app.kubernetes.io/{name}": value for name, value in about.items()}
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": {"name": f"{PREFIX}{role}", "labels": labels}}


def _merged(rules: Iterable[Rule]) -> dict[tuple[str, str], set[str]]:
    verbs: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        verbs.setdefault((rule.group, rule.resource), set()).update(rule.verbs)
    return verbs


def _rules(verbs: Mapping[tuple[str, str], set[str]]) -> tuple[Rule, ...]:
    return tuple(
        Rule(group, resource, tuple(sorted(allowed, key=_VERBS.index)))
        for (group, resource), allowed in sorted(verbs.items())
    )
