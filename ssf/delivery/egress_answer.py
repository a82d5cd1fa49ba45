"""What the other side said: read from an answer under way, as far as it may keep us."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aiohttp import ClientError, ClientResponse, StreamReader
from aiohttp.http_exceptions import HttpProcessingError


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressAnswer:
    """What the other side said. Every member but `status` is its own free invention.

    Attributes:
        status: 200 to 999; a redirect is an answer like any other.
        headers: By lower-case name; of repeated ones the first. Bytes that are no UTF-8 are
            replaced by U+FFFD.
        retry_after: All values of `Retry-After`, in order, unparsed.
        content_type: Media type in lower case without parameters, or None.
        body: The first bytes, never decompressed, at most `max_body_bytes`.
        is_body_whole: False if the body was cut off: too long, too slow or broken.
    """

    status: int
    headers: Mapping[str, str]
    retry_after: tuple[str, ...]
    content_type: str | None
    body: bytes
    is_body_whole: bool


async def read_answer(
    response: ClientResponse, *, max_body_bytes: int, until: float
) -> EgressAnswer:
    """Read the body as far as it comes; nothing that goes wrong with it is a failure.

    Args:
        response: With its header received.
        max_body_bytes: How much of the body is kept.
        until: Moment on the event loop's clock at which we stop waiting.
    """
    body, is_whole = await _read_body(response, max_body_bytes, until)
    return EgressAnswer(
        status=response.status,
        headers=_first_headers(response),
        retry_after=tuple(map(_readable, response.headers.getall("Retry-After", ()))),
        content_type=_media_type(response),
        body=body,
        is_body_whole=is_whole,
    )


async def _read_body(response: ClientResponse, limit: int, until: float) -> tuple[bytes, bool]:
    """Read at most `limit` bytes until a moment; tell also whether that was all."""
    body = bytearray()
    if response.closed and response.connection is None:  # all is here: nothing to wait for
        is_whole = await _read_into(body, response.content, limit)
        return bytes(body[:limit]), is_whole
    is_whole = False
    with contextlib.suppress(TimeoutError, ClientError, HttpProcessingError, OSError):
        async with asyncio.timeout_at(until):
            is_whole = await _read_into(body, response.content, limit)
    return bytes(body[:limit]), is_whole


async def _read_into(body: bytearray, content: StreamReader, limit: int) -> bool:
    while len(body) <= limit:
        chunk = await content.read(limit + 1 - len(body))
        if not chunk:
            return True
        body += chunk
    return False


def _first_headers(response: ClientResponse) -> Mapping[str, str]:
    first: dict[str, str] = {}
    for name, value in response.headers.items():
        first.setdefault(name.lower(), _readable(value))
    return MappingProxyType(first)


def _readable(value: str) -> str:
    """Replace bytes that are no UTF-8, which aiohttp hands over as lone surrogates."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _media_type(response: ClientResponse) -> str | None:
    value = _readable(response.headers.get("Content-Type", ""))
    return value.partition(";")[0].strip().lower() or None
