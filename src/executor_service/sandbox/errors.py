"""Refusals as the API server words them: Status objects with reason, code, details and message."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from executor_service.sandbox.kinds import Kind
from executor_service.sandbox.objects import Object

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """A request that ends with a failed Status."""

    def __init__(self, code: int, message: str, *, reason: str | None = None, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason or _REASONS.get(code, HTTPStatus(code).phrase.replace(" ", "")),
            **({} if details is None else {"details": details}),
            "code": code,
        }

    @property
    def retry_after(self) -> int | None:
        """Seconds for the Retry-After header, when the Status carries them."""
        return (self.status.get("details") or {}).get("retryAfterSeconds")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One cause of an Invalid answer; `message` reads like the server's `Invalid value: -1: must be ...`."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"


def field_invalid(field: str, value: object, rule: str) -> FieldError:
    """A field whose value breaks a rule."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return FieldError(field, f"Invalid value: {shown}: {rule}")


def field_required(field: str, rule: str = "") -> FieldError:
    """A field that is missing."""
    return FieldError(field, f"Required value{': ' + rule if rule else ''}", "FieldValueRequired")


def field_forbidden(field: str, rule: str) -> FieldError:
    """A field that may not be set or changed."""
    return FieldError(field, f"Forbidden: {rule}", "FieldValueForbidden")


def _details(kind: Kind, name: str) -> Object:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}


def not_found(kind: Kind, name: str) -> ApiError:
    """404 for a missing object."""
    return ApiError(404, f'{kind.qualified} "{name}" not found', details=_details(kind, name))


def already_exists(kind: Kind, name: str) -> ApiError:
    """409 for a name that is taken."""
    message = f'{kind.qualified} "{name}" already exists'
    return ApiError(409, message, reason="AlreadyExists", details=_details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    """409 for a failed precondition."""
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return ApiError(409, message, details=_details(kind, name))


def stale(kind: Kind, name: str) -> ApiError:
    """409 for a resourceVersion that is no longer the object's."""
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(kind, name, why)


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    """403 for what is never allowed."""
    return ApiError(403, f'{kind.qualified} "{name}" is forbidden: {why}', details=_details(kind, name))


def namespace_ends(kind: Kind, name: str, namespace: str) -> ApiError:
    """403 for new content, an eviction too, in a namespace that is being deleted."""
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
    problem = forbidden(kind, name, why)
    problem.status["details"]["causes"] = [{**cause, "field": "metadata.namespace"}]
    return problem


def bad_request(message: str) -> ApiError:
    """400 for what cannot be understood."""
    return ApiError(400, message)


def invalid(kind: Kind, name: str, causes: Sequence[FieldError]) -> ApiError:
    """422 naming every field that breaks a rule."""
    listed = ", ".join(f"{cause.field}: {cause.message}" for cause in causes)
    shown = listed if len(causes) == 1 else f"[{listed}]"
    details = {
        "name": name,
        **({"group": kind.group} if kind.group else {}),
        "kind": kind.kind,
        "causes": [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes],
    }
    return ApiError(422, f'{kind.qualified_kind} "{name}" is invalid: {shown}', details=details)


def unprocessable_patch() -> ApiError:
    """422 for a JSON Patch that does not apply; the real server hides the operation's own message too."""
    return ApiError(422, "the server rejected our request due to an error in our request", details={})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415 naming what is accepted."""
    head = "the body of the request was in an unknown format - accepted media types include: "
    return ApiError(415, head + ", ".join(accepted))


def expired(requested: int, oldest: int) -> ApiError:
    """410 for a resourceVersion whose history is gone."""
    return ApiError(410, f"too old resource version: {requested} ({oldest})")


def from_the_future(requested: int, current: int) -> ApiError:
    """504 for a resourceVersion that the server has not reached."""
    details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    message = f"Timeout: Too large resource version: {requested}, current: {current}"
    return ApiError(504, message, details={**details, "retryAfterSeconds": 1})
