"""The rules of kinds without pods of their own: claims, autoscalers, secrets, network policies, jobs, taints."""

import base64
import binascii

from executor_service.sandbox.errors import FieldError, field_forbidden, field_invalid, field_required
from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object, same
from executor_service.sandbox.quantities import parse_quantity

_IMMUTABLE = "field is immutable"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_CLAIM_RULE = "spec is immutable after creation except resources.requests for bound claims"


def rules_of(kind: Kind, obj: Object) -> list[FieldError]:
    """Every rule that an object of these kinds breaks."""
    rules = _RULES.get(kind.plural)
    return _secret(obj.get("data") or {}) if kind.plural == "secrets" else rules(obj.get("spec") or {}) if rules else []


def rules_of_update(kind: Kind, old: Object, new: Object) -> list[FieldError]:
    """Every rule that a change of these kinds breaks."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    match kind.plural:
        case "persistentvolumeclaims":
            return _claim_update(old, before, after)
        case "secrets" if old.get("type") != new.get("type"):
            return [field_invalid("type", new.get("type"), _IMMUTABLE)]
        case "secrets" if old.get("immutable") and not same(old.get("data"), new.get("data")):
            return [field_forbidden("data", "field is immutable when `immutable` is set")]
        case "jobs" if not same(before.get("template"), after.get("template")):
            return [field_invalid("spec.template", "{...}", _IMMUTABLE)]
        case _:
            return []


def _taints(spec: Object) -> list[FieldError]:
    errors = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(spec.get("taints") or []):
        where = f"spec.taints[{index}]"
        key, effect = taint.get("key"), taint.get("effect")
        if not key:
            errors.append(field_required(f"{where}.key"))
        if not effect:
            errors.append(field_required(f"{where}.effect"))
        elif effect not in _EFFECTS:
            supported = ", ".join(f'"{name}"' for name in _EFFECTS)
            message = f'Unsupported value: "{effect}": supported values: {supported}'
            errors.append(FieldError(f"{where}.effect", message, "FieldValueNotSupported"))
        if (str(key), str(effect)) in seen:
            errors.append(FieldError(where, f"Duplicate value: {key}: taints must be unique by key and effect pair"))
        seen.add((str(key), str(effect)))
    return errors


def _claim(spec: Object) -> list[FieldError]:
    errors = [] if spec.get("accessModes") else [field_required("spec.accessModes")]
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        return [*errors, field_required("spec.resources[storage]")]
    if parse_quantity(size) <= 0:
        errors.append(field_invalid("spec.resources[storage]", size, "must be greater than zero"))
    return errors


def _claim_update(old: Object, before: Object, after: Object) -> list[FieldError]:
    fixed = [
        {key: value for key, value in spec.items() if key not in ("resources", "volumeName")}
        for spec in (before, after)
    ]
    if not same(*fixed):
        return [field_forbidden("spec", _CLAIM_RULE)]
    sizes = [(spec.get("resources") or {}).get("requests", {}).get("storage", "0") for spec in (before, after)]
    if parse_quantity(sizes[1]) < parse_quantity(sizes[0]):
        return [field_forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")]
    if sizes[1] != sizes[0] and (old.get("status") or {}).get("phase") != "Bound":
        return [field_forbidden("spec", _CLAIM_RULE)]
    return []


def _autoscaler(spec: Object) -> list[FieldError]:
    errors = []
    target = spec.get("scaleTargetRef") or {}
    errors += [field_required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]
    most, fewest = spec.get("maxReplicas", 0), spec.get("minReplicas", 1)
    if most < 1:
        errors.append(field_invalid("spec.maxReplicas", most, "must be greater than 0"))
    if fewest < 1:
        errors.append(field_invalid("spec.minReplicas", fewest, "must be greater than or equal to 1"))
    if most < fewest:
        rule = "must be greater than or equal to `minReplicas`"
        errors.append(field_invalid("spec.maxReplicas", most, rule))
    return errors


def _secret(data: Object) -> list[FieldError]:
    errors = []
    for name, value in data.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            errors.append(field_invalid(f"data[{name}]", "<sensitive>", "illegal base64 data"))
    return errors


def _job(spec: Object) -> list[FieldError]:
    pod = (spec.get("template") or {}).get("spec") or {}
    if not pod.get("containers"):
        return [field_required("spec.template.spec.containers")]
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        message = 'Required value: valid values: "OnFailure", "Never"'
        return [FieldError("spec.template.spec.restartPolicy", message, "FieldValueRequired")]
    return []


def _policy(spec: Object) -> list[FieldError]:
    return [] if "podSelector" in spec else [field_required("spec.podSelector")]


def _snapshot(spec: Object) -> list[FieldError]:
    return [] if spec.get("source") else [field_required("spec.source")]


_RULES = {
    "nodes": _taints,
    "persistentvolumeclaims": _claim,
    "horizontalpodautoscalers": _autoscaler,
    "networkpolicies": _policy,
    "jobs": _job,
    "volumesnapshots": _snapshot,
}
