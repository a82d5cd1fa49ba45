"""Everything that a receiver can refuse.

    ReceiverError
    |-- SetRejected                400  the SET must not be believed or acted upon; `err` says why
    |-- TryAgainLater              503  nothing is known to be wrong with the SET; send it again
    |   |-- IssuerKeysUnavailable       the issuer's keys cannot be had now
    |   `-- DuplicateInProgress         the same SET is being handled at this moment
    `-- HttpRefusal                4xx  the request was refused before its SET was looked at

The numbers are the statuses of the push endpoint. What `keys` and `ssf.protocol` raise is the
`__cause__`; it is for debugging and may quote up to 60 characters of a claim, so log the
description and not the cause.
"""

from collections.abc import Mapping
from types import MappingProxyType

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ReceiverError(Exception):
    """Base of every error of this package."""


class SetRejected(ReceiverError):
    """A SET that is not accepted. A handler may raise it too, such as with `access_denied`.

    Attributes:
        err: Error code of RFC 8935 §2.4 or SSF 1.0 §8.1.4.1, for the answer to the transmitter.
        description: English sentence that may be sent to anybody. Those of this package hold no
            piece of the token and none of the values that would have been accepted.
    """

    def __init__(self, err: str, description: str) -> None:
        self.err = str(err)
        self.description = description
        super().__init__(f"{self.err}: {description}")


class TryAgainLater(ReceiverError):
    """A SET on which nothing can be said now. A handler may raise it too.

    To answer with an error code of RFC 8935 would make the transmitter drop the event.

    Attributes:
        reason: English sentence for logs.
        retry_after_seconds: When to send the SET again; >= 0.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float = 30.0) -> None:
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        super().__init__(reason)


class IssuerKeysUnavailable(TryAgainLater):
    """The issuer's keys cannot be had now, so the signature cannot be checked."""


class DuplicateInProgress(TryAgainLater):
    """The same SET is being handled at this moment, and nobody knows yet how that ends."""


class HttpRefusal(ReceiverError):
    """A push request that is refused before its SET is looked at. Answered without a body.

    Attributes:
        status: HTTP status, 401 to 415.
        headers: What to say besides.
    """

    def __init__(self, status: int, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        self.status = status
        self.headers = headers
        super().__init__(f"refused with status {status}")
