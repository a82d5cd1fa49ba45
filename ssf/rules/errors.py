"""Everything that the core can say no with.

A refusal carries data, never a status: each dialect's table in `ssf.api.errors` turns the class
into a status and a body.

    Refusal
    |-- InvalidRequest            the body or a parameter is wrong
    |   |-- UrlRefused            an address that we will not call
    |   |-- ReadOnlyMismatch      a transmitter-supplied property was sent with another value
    |   |-- WrongDeliveryMethod     a poll of a stream that is pushed
    |   |-- TooManySubjects         a stream's list is full
    |   `-- MalformedCredentials    an Authorization header that cannot be read
    |-- NotAuthenticated          no credentials, or none that we know
    |-- InsufficientScope         known, but not allowed to do this at all
    |-- NotFound                  no such thing *for this caller*
    |-- Conflict                  it is there already, or the limit of such things is reached
    |-- IdempotencyKeyReused      the same key with another body
    |-- VerificationTooSoon       asked again before the interval was over
    `-- StreamNotEnabled          the stream's status forbids this
"""

from typing import ClassVar


class Refusal(Exception):
    """A request that the core turns down.

    Attributes:
        code: Stable word for programs.
        description: Sentence for people: what was wrong, where, what to do. Nothing secret.
        field: Path of the offending member (`delivery.endpoint_url`), or None.
    """

    code: ClassVar[str] = "refused"

    def __init__(self, description: str, *, field: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.field = field


class InvalidRequest(Refusal):
    """The body or a parameter is wrong."""

    code = "invalid_request"


class UrlRefused(InvalidRequest):
    """A URL that this transmitter will not call, or cannot."""

    code = "url_not_allowed"


class ReadOnlyMismatch(InvalidRequest):
    """A transmitter-supplied property was sent with another value (SSF 1.0 §8.1.1.3)."""

    code = "read_only_mismatch"


class WrongDeliveryMethod(InvalidRequest):
    """A poll of a stream that is pushed."""

    code = "wrong_delivery_method"


class TooManySubjects(InvalidRequest):
    """The list of a stream's subjects is full."""

    code = "too_many_subjects"


class MalformedCredentials(InvalidRequest):
    """An `Authorization: Bearer` header that cannot be read (RFC 6750 §3.1)."""


class NotAuthenticated(Refusal):
    """No credentials, or none that we know (RFC 6750 §3.1).

    Attributes:
        presented: Whether any credentials came with the request; without them the answer
            carries no error code (RFC 6750 §3).
    """

    code = "invalid_token"

    def __init__(self, description: str, *, presented: bool) -> None:
        super().__init__(description)
        self.presented = presented


class InsufficientScope(Refusal):
    """The caller is known, but none of its scopes permits this action.

    Attributes:
        scope: The scope that would do.
    """

    code = "insufficient_scope"

    def __init__(self, description: str, *, scope: str) -> None:
        super().__init__(description)
        self.scope = scope


class NotFound(Refusal):
    """No such thing for this caller. Somebody else's is told apart by nothing."""

    code = "not_found"


class Conflict(Refusal):
    """It is there already, or the limit of such things is reached."""

    code = "conflict"


class IdempotencyKeyReused(Refusal):
    """The same `Idempotency-Key` came with another body."""

    code = "idempotency_key_reused"


class VerificationTooSoon(Refusal):
    """Verification was asked for again before `min_verification_interval` was over.

    Attributes:
        retry_after_seconds: Whole seconds, rounded up, after which it will be accepted; >= 1.
        min_verification_interval_seconds: The interval.
    """

    code = "verification_too_soon"

    def __init__(self, *, retry_after_seconds: int, min_verification_interval_seconds: int) -> None:
        super().__init__(
            f"Verification may be requested once every {min_verification_interval_seconds} s; "
            f"try again in {retry_after_seconds} s."
        )
        self.retry_after_seconds = retry_after_seconds
        self.min_verification_interval_seconds = min_verification_interval_seconds


class StreamNotEnabled(Refusal):
    """The stream's status forbids this (verification on a disabled stream)."""

    code = "stream_not_enabled"
