"""The endpoint behind a real server on a loopback socket: what ASGI cannot show."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from keys.http_fetch import httpx_fetch
from keys.keyring import Keyring, generate_signing_key
from keys.published_jwks import published_jwks
from keys.remote_jwks import RemoteJwks
from keys.signer import sign_set
from keys.strict_json import dumps
from receiver import Handlers, VerifiedSet, push_endpoint
from tests.receiver.sets import AUTHORIZATION, Draft, verifier_for

PUSH_HEADERS = {"Content-Type": "application/secevent+jwt", "Authorization": AUTHORIZATION}


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    # `typing.override` comes with Python 3.12.
    async def startup(  # type: ignore[explicit-override]
        self, sockets: list[socket.socket] | None = None
    ) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextlib.asynccontextmanager
async def serving(app: Any, http: str = "httptools") -> AsyncIterator[str]:
    """Serve an application on a free port; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app, http=http, ws="none", lifespan="on", log_config=None, timeout_graceful_shutdown=5
        )
        server = _Server(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            await server.is_up.wait()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True


@pytest.fixture(params=["httptools", "h11"])
async def endpoint(
    request: pytest.FixtureRequest, issuer_key
) -> AsyncIterator[tuple[str, list[str]]]:
    handlers, jtis = Handlers(), []

    @handlers.on_any
    async def record(_event: Any, verified: VerifiedSet) -> None:
        jtis.append(verified.jti)

    app = push_endpoint(verifier_for(issuer_key), handlers, authorization=AUTHORIZATION)
    async with serving(app, request.param) as url:
        yield url, jtis


async def test_a_set_is_accepted_over_http(endpoint, issuer_key) -> None:
    url, jtis = endpoint
    async with httpx.AsyncClient(headers=PUSH_HEADERS, trust_env=False) as client:
        for _ in range(2):
            answer = await client.post(url, content=Draft().compact(issuer_key))
            assert (answer.status_code, answer.content) == (202, b"")
            assert set(answer.headers) == {"date", "server", "content-length"}
        bad = await client.post(url, content=b"x")
        assert (bad.status_code, bad.json()["err"]) == (400, "invalid_request")
        assert bad.headers["content-language"] == "en"
        assert (await client.get(url)).status_code == 405
    assert jtis == ["jti-1"]


async def test_a_body_in_chunks_is_accepted_up_to_the_limit(endpoint, issuer_key) -> None:
    url, jtis = endpoint

    async def pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]

    async with httpx.AsyncClient(headers=PUSH_HEADERS, trust_env=False) as client:
        good = await client.post(url, content=pieces(Draft().compact(issuer_key).encode()))
        assert good.status_code == 202
        long = await client.post(url, content=pieces(b"x" * 131_073))
        assert (long.status_code, long.content) == (413, b"")
    assert jtis == ["jti-1"]


async def test_a_peer_that_hangs_up_in_the_middle_harms_nobody(endpoint, issuer_key) -> None:
    url, jtis = endpoint
    port = int(url.rpartition(":")[2])
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "".join(f"{name}: {value}\r\n" for name, value in PUSH_HEADERS.items())
    writer.write(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 5000\r\n\r\neyJ".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient(headers=PUSH_HEADERS, trust_env=False) as client:
        answer = await client.post(url, content=Draft().compact(issuer_key))
    assert answer.status_code == 202
    assert jtis == ["jti-1"]


async def test_keys_fetched_over_http_verify_a_set_signed_by_our_signer(issuer_key) -> None:
    """All of it together: published JWK Set, remote JWK Set, signer, verifier, endpoint."""
    key = generate_signing_key("RS256", created_at=0)
    document = dumps(published_jwks(Keyring([key]))).encode()

    async def jwks_app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": document})

    handlers, subjects = Handlers(), []
    handlers.on("session-revoked")(lambda _, verified: subjects.append(verified.subject.identifier))
    async with serving(jwks_app) as jwks_url:
        jwks = RemoteJwks(jwks_url, fetch=httpx_fetch(), monotonic=asyncio.get_running_loop().time)
        app = push_endpoint(
            verifier_for(issuer_key, keys=jwks), handlers, authorization=AUTHORIZATION
        )
        async with (
            serving(app) as url,
            httpx.AsyncClient(headers=PUSH_HEADERS, trust_env=False) as client,
        ):
            answer = await client.post(url, content=sign_set(Draft().claims, key))
    assert answer.status_code == 202
    assert subjects == [Draft().claims["sub_id"]]
