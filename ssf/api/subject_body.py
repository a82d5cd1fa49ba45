"""The body of a request to add or remove a subject, in either profile (SSF 1.0 §8.1.3)."""

from collections.abc import Mapping
from typing import Any

from ssf.rules.errors import InvalidRequest


def named_subject(body: Mapping[str, Any]) -> Any:
    """The `subject`, whatever it is; `ssf.protocol.subjects` says what is wrong with it.

    Raises:
        InvalidRequest: It is missing.
    """
    if "subject" not in body:
        raise InvalidRequest("subject is required.", field="subject")
    return body["subject"]


def is_verified(body: Mapping[str, Any]) -> bool:
    """Whether the receiver has verified the subject; it has unless it says otherwise.

    Raises:
        InvalidRequest: `verified` is neither true nor false.
    """
    said = body.get("verified", True)
    if not isinstance(said, bool):
        raise InvalidRequest("verified is true or false.", field="verified")
    return said
