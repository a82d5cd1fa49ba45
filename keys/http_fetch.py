"""Getting a JWK Set over HTTP without being held up, led astray or flooded by the server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import httpx

from keys.errors import KeysUnavailable

_HEADERS: Final = {
    "Accept": "application/jwk-set+json, application/json",
    # Small compressed answers can expand a thousandfold; nothing is expanded here.
    "Accept-Encoding": "identity",
}


def httpx_fetch(
    client: httpx.AsyncClient | None = None,
    *,
    total_seconds: float = 5.0,
    max_bytes: int = 262_144,
) -> Callable[[str], Awaitable[bytes]]:
    """Make a function that gets the bytes at a URL.

    Args:
        client: Used as it is configured, but never follows a redirect. None: a client for each
            call, which ignores proxy variables and .netrc of the environment.
        total_seconds: Limit for the whole exchange, from name lookup to the last byte. httpx's
            own timeouts start anew with each byte that drips in.
        max_bytes: Longest body; reading stops there.

    Returns:
        A `keys.remote_jwks.Fetch`. It raises KeysUnavailable for anything but a complete answer
        of status 200 within both limits.
    """

    async def fetch(url: str) -> bytes:
        try:
            async with asyncio.timeout(total_seconds):
                if client is not None:
                    return await _get(client, url, max_bytes)
                async with httpx.AsyncClient(trust_env=False, timeout=total_seconds) as own:
                    return await _get(own, url, max_bytes)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as exc:
            # asyncio's TimeoutError is an OSError.
            raise KeysUnavailable(f"The JWK Set cannot be fetched: {type(exc).__name__}.") from exc

    return fetch


async def _get(client: httpx.AsyncClient, url: str, max_bytes: int) -> bytes:
    async with client.stream("GET", url, headers=_HEADERS, follow_redirects=False) as response:
        if response.status_code != httpx.codes.OK:
            raise KeysUnavailable(f"The JWK Set cannot be fetched: status {response.status_code}.")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise KeysUnavailable("The JWK Set cannot be fetched: it is compressed.")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                raise KeysUnavailable("The JWK Set cannot be fetched: it is too large.")
        return bytes(body)
