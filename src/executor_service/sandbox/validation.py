"""The rules an object must keep: what is wrong with it, and what is wrong with the change."""

import re

from executor_service.sandbox.errors import FieldError, field_forbidden, field_invalid, field_required
from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object, clone, labels_of, meta, name_of, same
from executor_service.sandbox.quantities import parse_quantity
from executor_service.sandbox.selectors import matches_selector
from executor_service.sandbox.validation_of_kinds import rules_of, rules_of_update

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character"
)
_IMMUTABLE = "field is immutable"
_SELECTING = ("deployments", "replicasets", "statefulsets", "daemonsets")
_STATEFUL_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_POD_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_STATEFUL_RULE = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def validate(kind: Kind, obj: Object) -> list[FieldError]:
    """Every rule the object breaks."""
    errors = _metadata(obj)
    spec: Object = obj.get("spec") or {}
    if kind.plural in (*_SELECTING, "poddisruptionbudgets"):
        errors += _selector(spec.get("selector") or {})
    if errors:
        return errors
    if kind.plural in _SELECTING:
        errors += _workload(spec, obj.get("spec") is not None)
    elif kind.plural == "pods":
        errors += _containers(spec, "spec")
    elif kind.plural == "poddisruptionbudgets" and "minAvailable" in spec and "maxUnavailable" in spec:
        errors.append(field_invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    return errors + rules_of(kind, obj)


def validate_update(kind: Kind, old: Object, new: Object) -> list[FieldError]:
    """Every rule the change from `old` to `new` breaks."""
    before: Object = old.get("spec") or {}
    after: Object = new.get("spec") or {}
    errors = []
    if kind.plural in _SELECTING and not same(before.get("selector"), after.get("selector")):
        errors.append(field_invalid("spec.selector", after.get("selector"), _IMMUTABLE))
    if kind.plural == "statefulsets" and not same(_without_mutable(before), _without_mutable(after)):
        errors.append(field_forbidden("spec", _STATEFUL_RULE))
    if kind.plural == "pods" and not same(_fixed_pod_spec(before), _fixed_pod_spec(after)):
        errors.append(field_forbidden("spec", _POD_RULE))
    return errors + rules_of_update(kind, old, new)


def non_negative(field: str, value: object) -> list[FieldError]:
    """The rule for counts such as replicas."""
    if isinstance(value, int) and value < 0:
        return [field_invalid(field, value, "must be greater than or equal to 0")]
    return []


def _selector(selector: Object) -> list[FieldError]:
    errors = []
    for index, rule in enumerate(selector.get("matchExpressions") or []):
        errors += _required(rule, ("key", "operator"), f"spec.selector.matchExpressions[{index}]")
    return errors


def _required(entry: Object, members: tuple[str, ...], where: str) -> list[FieldError]:
    return [field_required(f"{where}.{member}") for member in members if not entry.get(member)]


def _metadata(obj: Object) -> list[FieldError]:
    errors = []
    for index, reference in enumerate(meta(obj).get("ownerReferences") or []):
        errors += _required(reference, ("apiVersion", "kind", "name", "uid"), f"metadata.ownerReferences[{index}]")
    name = name_of(obj)
    if not name:
        errors.append(field_required("metadata.name", "name or generateName is required"))
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        errors.append(field_invalid("metadata.name", name, _SUBDOMAIN_RULE))
    for value in labels_of(obj).values():
        if not _LABEL_VALUE.fullmatch(value):
            rule = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
            errors.append(field_invalid("metadata.labels", value, rule))
    return errors


def _workload(spec: Object, given: bool) -> list[FieldError]:
    if not given:
        return [field_required("spec")]
    errors = non_negative("spec.replicas", spec.get("replicas"))
    selector = spec.get("selector")
    template: Object = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not selector:
        errors.append(field_required("spec.selector"))
    elif not matches_selector(selector, labels):
        rule = "`selector` does not match template `labels`"
        errors.append(field_invalid("spec.template.metadata.labels", labels, rule))
    return errors + _containers(template.get("spec") or {}, "spec.template.spec")


def _containers(pod_spec: Object, where: str) -> list[FieldError]:
    containers = pod_spec.get("containers") or []
    if not containers:
        return [field_required(f"{where}.containers")]
    errors = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        field = f"{where}.containers[{index}]"
        name = container.get("name")
        if not name:
            errors.append(field_required(f"{field}.name"))
        elif name in seen:
            errors.append(FieldError(f"{field}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate"))
        seen.add(name)
        if not container.get("image"):
            errors.append(field_required(f"{field}.image"))
        errors += _resources(container.get("resources") or {}, f"{field}.resources")
    return errors


def _resources(resources: Object, where: str) -> list[FieldError]:
    errors = []
    limits: Object = resources.get("limits") or {}
    for amount, value in (resources.get("requests") or {}).items():
        if parse_quantity(value) < 0:
            errors.append(field_invalid(f"{where}.requests[{amount}]", value, "must be greater than or equal to 0"))
        if amount in limits and parse_quantity(value) > parse_quantity(limits[amount]):
            rule = f"must be less than or equal to {amount} limit of {limits[amount]}"
            errors.append(field_invalid(f"{where}.requests", value, rule))
    return errors


def _without_mutable(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if key not in _STATEFUL_MUTABLE}


def _fixed_pod_spec(spec: Object) -> Object:
    fixed = clone(spec)
    for member in ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"):
        fixed.pop(member, None)
    for container in [*(fixed.get("containers") or []), *(fixed.get("initContainers") or [])]:
        container.pop("image", None)
        container.pop("imagePullPolicy", None)
    return fixed
