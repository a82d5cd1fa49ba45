"""The `status` of a status request, in either profile."""

from collections.abc import Mapping
from typing import Any

from ssf.rules.errors import InvalidRequest
from ssf.rules.stream_status import StreamStatus


def asked_status(body: Mapping[str, Any]) -> StreamStatus:
    """The status that a stream is to have (SSF 1.0 §8.1.2.3).

    Raises:
        InvalidRequest: It is missing, or none that there is.
    """
    try:
        return StreamStatus(body.get("status"))  # type: ignore[arg-type]  # a ValueError too
    except ValueError:
        raise InvalidRequest(
            "status is one of enabled, paused and disabled.", field="status"
        ) from None
