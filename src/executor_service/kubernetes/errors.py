"""What can go wrong between us and the API server, and which error class each becomes.

ApiError
├── ApiUnreachableError   nothing was sent
├── ApiSilentError        sent, but no answer came: the outcome is unknown
└── ApiStatusError        the server answered with an error status
"""

from executor_service.contract import ActionFailedError, ErrorClass


class ApiError(Exception):
    """The API server did not do what was asked, or did not say so."""


class ApiUnreachableError(ApiError):
    """No connection (or no usable configuration): the request was never sent."""


class ApiSilentError(ApiError):
    """The connection broke after the request was sent: its outcome is unknown."""


class ApiStatusError(ApiError):
    """An error answer of the server: HTTP code, machine-readable reason, message, Retry-After in seconds, causes."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        causes: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(f"{code} {reason}: {message}" if reason else f"{code}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes


_CLASS_OF_CODE = {
    401: ErrorClass.FORBIDDEN,
    403: ErrorClass.FORBIDDEN,
    404: ErrorClass.NOT_FOUND,
    409: ErrorClass.CONFLICT,
    429: ErrorClass.THROTTLED,
}
_NAMESPACE_ENDS = "NamespaceTerminating"
"""Cause of a 403 that has nothing to do with rights: the namespace is being deleted, and what is in it with it."""


def error_class(error: ApiError) -> ErrorClass:
    """The class that tells a caller whether trying again makes sense."""
    if not isinstance(error, ApiStatusError):
        return ErrorClass.TRANSIENT
    if error.code >= 500:
        return ErrorClass.TRANSIENT
    if _NAMESPACE_ENDS in error.causes:
        return ErrorClass.NOT_FOUND
    return _CLASS_OF_CODE.get(error.code, ErrorClass.PERMANENT)


def failure(error: ApiError, what: str) -> ActionFailedError:
    """The API error as an action's failure; `what` names the attempt, such as "reading Deployment a/b"."""
    return ActionFailedError(error_class(error), f"{what}: {error}")
