"""Answers: JSON, and what every answer carries."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_response(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An `application/json` answer that no cache keeps, unless `headers` say otherwise."""
    return Response(
        orjson.dumps(value),
        status_code=status,
        media_type="application/json",
        headers={**_ALWAYS, **(headers or {})},
    )


def empty_response(status: int) -> Response:
    """An answer without a body."""
    return Response(status_code=status, headers=_ALWAYS)
