"""Push delivery on the wire (RFC 8935): media types, headers, error codes and bodies."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ssf.protocol.errors import printable

SET_MEDIA_TYPE: Final = "application/secevent+jwt"
"""Media type of a SET in a request (RFC 8935 §2.1)."""

JSON_MEDIA_TYPE: Final = "application/json"
"""Media type of an error body (RFC 8935 §2.3)."""

MAX_DESCRIPTION_CHARS: Final = 1000
"""Where a peer's description is cut (our decision: it ends in logs and consoles)."""

_MAX_ERR_CHARS = 100
_MAX_BODY_BYTES = 64 * 1024


class PushError(StrEnum):
    """Codes with which a recipient refuses a SET.

    The registry is open: a peer may send a code that is not here.

    Source: RFC 8935 §2.4; `invalid_state` is SSF 1.0 §8.1.4.1.
    """

    INVALID_REQUEST = "invalid_request"
    """The body is no SET, or an event payload breaks its definition."""
    INVALID_KEY = "invalid_key"
    """A key is expired, revoked or otherwise unacceptable."""
    INVALID_ISSUER = "invalid_issuer"
    """The issuer is not valid for this recipient."""
    INVALID_AUDIENCE = "invalid_audience"
    """The audience is not this recipient."""
    AUTHENTICATION_FAILED = "authentication_failed"
    """The transmitter could not be authenticated."""
    ACCESS_DENIED = "access_denied"
    """The transmitter may not send this SET."""
    INVALID_STATE = "invalid_state"
    """The `state` of a verification event is not the one expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushFailure:
    """What a recipient said when it refused a SET.

    Attributes:
        err: The code as sent, case-sensitive, perhaps none of `PushError`; printable.
        description: Its sentence for people: printable, <= 1000 characters; None without one.
    """

    err: str
    description: str | None

    @property
    def known(self) -> PushError | None:
        """The code as a member of `PushError`, or None when it is not registered."""
        try:
            return PushError(self.err)
        except ValueError:
            return None


def media_type(content_type: str | None) -> str:
    """Return the media type of a `Content-Type` value: lower case, without parameters.

    Args:
        content_type: Such as `Application/SECEVENT+JWT; charset=utf-8`; None when absent.

    Returns:
        Such as `application/secevent+jwt`; empty when the header is absent.
    """
    return (content_type or "").partition(";")[0].strip().lower()


def is_set_media_type(content_type: str | None) -> bool:
    """Say whether a `Content-Type` value announces a SET."""
    return media_type(content_type) == SET_MEDIA_TYPE


def required_headers(authorization_header: str | None) -> dict[str, str]:
    """Return the headers of every push request (RFC 8935 §2.1, SSF 1.0 §6.1.1).

    Args:
        authorization_header: The stream's `delivery.authorization_header`, sent exactly so; None
            when the receiver gave none, and then no `Authorization` is sent.
    """
    headers = {"Content-Type": SET_MEDIA_TYPE, "Accept": JSON_MEDIA_TYPE}
    if authorization_header is not None:
        headers["Authorization"] = authorization_header
    return headers


def error_body(err: str, description: str) -> dict[str, str]:
    """Return the object that refuses a SET, in a push answer of 400 or in a poll's `setErrs`.

    Args:
        err: One of `PushError`, or an agreed code.
        description: Sentence for people, in the language of `Content-Language`. Cut to 1000
            printable characters.

    Source: RFC 8935 §2.3, RFC 8936 §2.6.
    """
    return {"err": str(err), "description": printable(description, MAX_DESCRIPTION_CHARS)}


def parse_error_body(body: bytes, content_type: str | None) -> PushFailure | None:
    """Read what a recipient answered with a 400. Never raises.

    Args:
        body: The body, or its beginning when it was cut; above 64 KiB it is not read.
        content_type: The answer's `Content-Type`. Any JSON type, plain text or none will do:
            many recipients do not set it. HTML is an error page of something in between.

    Returns:
        None when this is no JSON object with a string `err`.
    """
    media = media_type(content_type)
    if len(body) > _MAX_BODY_BYTES or not (media in ("", "text/plain") or media.endswith("json")):
        return None
    try:
        answer = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # bad UTF-8, bad JSON, giant numbers, deep nesting
        return None
    if not isinstance(answer, dict):
        return None
    err, description = answer.get("err"), answer.get("description")
    if not isinstance(err, str) or not err:
        return None
    return PushFailure(
        err=printable(err, _MAX_ERR_CHARS),
        description=printable(description, MAX_DESCRIPTION_CHARS)
        if isinstance(description, str)
        else None,
    )
