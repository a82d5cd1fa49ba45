"""The one table: what went wrong -> status and body.

Handlers raise and never build an error body. The body is the same in every dialect so far:
`{"err": code, "description": sentence, "field"?: path}`; SSF 1.0 leaves it open.
"""

from starlette.responses import Response

from keys.errors import InvalidJson
from ssf.api.responses import json_response
from ssf.protocol.errors import ProtocolError
from ssf.rules.errors import (
    Conflict,
    IdempotencyKeyReused,
    InsufficientScope,
    InvalidRequest,
    MalformedCredentials,
    NotAuthenticated,
    NotFound,
    Refusal,
    StreamNotEnabled,
    VerificationTooSoon,
)
from ssf.rules.storage_errors import StorageBusy, StorageError, StorageFull, StorageUnavailable


class HttpRefusal(Refusal):
    """A request that HTTP itself turns down, before any of it is looked at.

    Attributes:
        status: The answer's status.
        headers: Headers that belong to it (`Allow`).
    """

    def __init__(
        self,
        description: str,
        *,
        status: int,
        code: str,
        headers: dict[str, str] | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(description, field=field)
        self.status = status
        self.err = code
        self.headers = headers or {}


_STATUSES: dict[type[Exception], int] = {
    InvalidRequest: 400,
    NotAuthenticated: 401,
    InsufficientScope: 403,
    NotFound: 404,
    Conflict: 409,
    IdempotencyKeyReused: 422,
    VerificationTooSoon: 429,
    StreamNotEnabled: 400,
    ProtocolError: 400,
    InvalidJson: 400,
    StorageBusy: 503,
    StorageUnavailable: 503,
    StorageFull: 507,
    StorageError: 500,
}


def status_of(error: Exception) -> int:
    """The status of the nearest class in the table; 500 for what is not in it."""
    for ancestor in type(error).__mro__:
        if ancestor in _STATUSES:
            return _STATUSES[ancestor]
    return 500


def error_response(error: Exception) -> Response:
    """The answer to a request that ended with this exception."""
    status, err, description, field = _words(error)
    body = {"err": err, "description": description}
    if field is not None:
        body["field"] = field
    return json_response(body, status=status, headers=_headers(error))


def _words(error: Exception) -> tuple[int, str, str, str | None]:
    """Status, code, sentence and field."""
    match error:
        case HttpRefusal():
            return error.status, error.err, error.description, error.field
        case Refusal():
            return status_of(error), error.code, error.description, error.field
        case ProtocolError():
            description = f"{error.field}: {error.reason}."
            return status_of(error), error.code, description, error.field
        case InvalidJson():
            status = 413 if error.code == "too_large" else status_of(error)
            return status, error.code, f"The body cannot be read: {error.reason}.", None
        case StorageError():
            description = "The transmitter cannot reach its storage as it should; try again later."
            return status_of(error), error.code, description, None
        case _:
            description = "The transmitter failed; its log says why. Nothing is known to be stored."
            return 500, "internal_error", description, None


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case HttpRefusal():
            return error.headers
        case NotAuthenticated():
            challenge = 'Bearer error="invalid_token"' if error.presented else "Bearer"
            return {"WWW-Authenticate": challenge}
        case MalformedCredentials():
            return {"WWW-Authenticate": 'Bearer error="invalid_request"'}
        case InsufficientScope():
            challenge = f'Bearer error="insufficient_scope", scope="{error.scope}"'
            return {"WWW-Authenticate": challenge}
        case VerificationTooSoon():
            return {"Retry-After": str(error.retry_after_seconds)}
        case StorageError() if error.retry_after_seconds is not None:
            return {"Retry-After": str(error.retry_after_seconds)}
        case _:
            return {}
