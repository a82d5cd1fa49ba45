"""The `state` of a verification request, in either profile."""

from collections.abc import Mapping
from typing import Any

from ssf.rules.errors import InvalidRequest

MAX_STATE_CHARS = 1_024


def requested_state(body: Mapping[str, Any]) -> str | None:
    """The `state` that the event is to echo; None when there is none (SSF 1.0 §8.1.4.2).

    Raises:
        InvalidRequest: It is not a string, or too long.
    """
    if "state" not in body:
        return None
    state = body["state"]
    if not isinstance(state, str) or len(state) > MAX_STATE_CHARS:
        raise InvalidRequest(
            f"state is a string of at most {MAX_STATE_CHARS} characters; leave it out for none.",
            field="state",
        )
    return state
