"""Reads request bodies: bounded in size and time, strict in form."""

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect, Request

from keys.strict_json import loads_object
from ssf.api.errors import HttpRefusal
from ssf.protocol.push import media_type

MAX_BODY_BYTES = 1_048_576
MAX_EVENT_BODY_BYTES = 65_536
MAX_DEPTH = 32
MAX_EVENT_DEPTH = 31
"""One less: in the SET that is made of it, an event's payload lies one level deeper."""
_MAX_DIGITS = 15
BODY_SECONDS = 10.0
"""How long a client may take to send its body."""


async def json_object(
    request: Request, *, max_bytes: int = MAX_BODY_BYTES, max_members: int = 10_000
) -> dict[str, Any]:
    """The body as a JSON object.

    Args:
        request: Whose body has not been read.
        max_bytes: Longest body.
        max_members: Most members and elements in all of it.

    Raises:
        HttpRefusal: 408, 413 or 415.
        InvalidJson: It is not JSON, not an object, or ambiguous.
    """
    return parse_object(
        request, await raw_body(request, max_bytes=max_bytes), max_members=max_members
    )


def parse_object(
    request: Request, raw: bytes, *, max_members: int = 10_000, max_depth: int = MAX_DEPTH
) -> dict[str, Any]:
    """A body that has been read, as a JSON object.

    Raises:
        HttpRefusal: 415.
        InvalidJson: It is not JSON, not an object, or ambiguous.
    """
    require_json(request)
    return loads_object(raw, max_bytes=MAX_BODY_BYTES, max_members=max_members, max_depth=max_depth)


async def json_object_or_nothing(request: Request) -> dict[str, Any]:
    """As `json_object`; no body at all counts as an empty object."""
    raw = await raw_body(request)
    return parse_object(request, raw) if raw else {}


def require_json(request: Request) -> None:
    """Refuses a body that does not call itself JSON, or that is compressed."""
    if media_type(request.headers.get("content-type")) != "application/json":
        raise HttpRefusal(
            "Send the body as Content-Type: application/json.",
            status=415,
            code="unsupported_media_type",
            field="Content-Type",
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpRefusal(
            "Send the body uncompressed.",
            status=415,
            code="unsupported_media_type",
            field="Content-Encoding",
        )


async def raw_body(request: Request, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body, of which never more than `max_bytes` is kept.

    Raises:
        HttpRefusal: 413 when it is longer, 408 when it does not come in time.
    """
    declared = request.headers.get("content-length", "")
    is_number = declared.isascii() and declared.isdigit()
    if is_number and (len(declared) > _MAX_DIGITS or int(declared) > max_bytes):
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise _too_large(max_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise HttpRefusal(
            f"The body did not arrive within {BODY_SECONDS:.0f} s.", status=408, code="timeout"
        ) from None
    except ClientDisconnect:
        raise HttpRefusal("The client went away.", status=400, code="invalid_request") from None
    return b"".join(chunks)


def _too_large(max_bytes: int) -> HttpRefusal:
    return HttpRefusal(
        f"The body may have {max_bytes} bytes.",
        status=413,
        code="too_large",
        headers={"Connection": "close"},
    )
