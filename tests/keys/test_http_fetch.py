"""Against real sockets: what counts is what goes over the wire and when it ends."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from keys.errors import KeysUnavailable
from keys.remote_jwks import RemoteJwks, httpx_fetch

Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks.json"


@asynccontextmanager
async def serving(respond: Respond) -> AsyncIterator[Server]:
    state = Server()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        handlers.add(handler)
        try:
            state.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await respond(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    state.port = server.sockets[0].getsockname()[1]
    async with server:
        yield state
    if handlers:
        # A connection that is closed after the test's loop has ended is a leak to the next test.
        _, late = await asyncio.wait(handlers, timeout=2)
        for handler in late:
            handler.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def answering(head: str, body: bytes = b"") -> Respond:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode() + body)

    return respond


async def test_the_body_of_a_plain_answer_is_given_back() -> None:
    async with serving(answering("200 OK\r\nContent-Length: 11", b'{"keys":[]}')) as server:
        assert await httpx_fetch()(server.url) == b'{"keys":[]}'
    request = server.requests[0].lower()
    assert b"accept-encoding: identity\r\n" in request
    assert b"authorization" not in request


async def test_a_given_client_is_used_and_left_open() -> None:
    async with (
        serving(answering("200 OK", b"x")) as server,
        httpx.AsyncClient(headers={"User-Agent": "ours"}, follow_redirects=True) as client,
    ):
        fetch = httpx_fetch(client)
        assert await fetch(server.url) == b"x"
        assert await fetch(server.url) == b"x"
        assert not client.is_closed
    assert b"user-agent: ours" in server.requests[0].lower()


@pytest.mark.parametrize("follow", [False, True])
async def test_a_redirect_is_not_followed(follow: bool) -> None:
    async with (
        serving(answering("200 OK", b"elsewhere")) as other,
        serving(answering(f"302 Found\r\nLocation: {other.url}")) as server,
        httpx.AsyncClient(follow_redirects=follow) as client,
    ):
        for fetch in (httpx_fetch(client), httpx_fetch()):
            with pytest.raises(KeysUnavailable, match="302"):
                await fetch(server.url)
        assert other.requests == []


@pytest.mark.parametrize("status", ["201 Created", "204 No Content", "404 Not Found", "503 Busy"])
async def test_only_status_200_counts(status: str) -> None:
    async with serving(answering(status, b"")) as server:
        with pytest.raises(KeysUnavailable, match=status[:3]) as caught:
            await httpx_fetch()(server.url)
        assert caught.value.temporary


async def test_the_size_limit_holds_at_n_and_n_plus_one() -> None:
    async with serving(answering("200 OK", b"x" * 1000)) as server:
        assert len(await httpx_fetch(max_bytes=1000)(server.url)) == 1000
        with pytest.raises(KeysUnavailable, match="too large"):
            await httpx_fetch(max_bytes=999)(server.url)


async def test_reading_stops_at_the_limit_of_an_endless_body() -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with serving(flood) as server:
        with pytest.raises(KeysUnavailable, match="too large"):
            await httpx_fetch(total_seconds=30)(server.url)


async def test_a_dripping_body_ends_at_the_total_deadline() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(drip) as server:
        started = time.monotonic()
        with pytest.raises(KeysUnavailable):
            await httpx_fetch(total_seconds=0.3)(server.url)
        assert 0.25 < time.monotonic() - started < 3


async def test_a_compressed_answer_is_refused_and_not_expanded() -> None:
    bomb = gzip.compress(bytes(10_000_000))
    async with serving(answering("200 OK\r\nContent-Encoding: gzip", bomb)) as server:
        with pytest.raises(KeysUnavailable, match="compressed"):
            await httpx_fetch()(server.url)


async def test_trouble_on_the_way_is_told_in_our_own_words(unused_port: int) -> None:
    async with (
        serving(answering("200 OK\r\nContent-Length: 100", b"cut off")) as cut,
        serving(answering("what is this")) as garbage,
    ):
        for url in (
            cut.url,
            garbage.url,
            f"http://127.0.0.1:{unused_port}/",
            "http://[::bad/",
            "ftp://issuer.example/",
            "not a url",
            "",
            "http://a\x00b/",
        ):
            with pytest.raises(KeysUnavailable) as caught:
                await httpx_fetch(total_seconds=2)(url)
            assert caught.value.__cause__ is not None


@pytest.fixture
async def unused_port() -> int:
    async with serving(answering("200 OK")) as server:
        return server.port


async def test_the_environment_cannot_divert_us(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answering("200 OK", b"proxy")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with serving(answering("200 OK", b"direct")) as server:
            assert await httpx_fetch()(server.url) == b"direct"
        assert proxy.requests == []


async def test_being_cancelled_is_not_mistaken_for_trouble() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with serving(silent) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await httpx_fetch()(server.url)


async def test_a_remote_set_works_over_real_http() -> None:
    async with serving(answering("200 OK", b'{"keys":[]}')) as server:
        jwks = RemoteJwks(server.url, fetch=httpx_fetch(), monotonic=time.monotonic)
        with pytest.raises(KeysUnavailable, match="no usable key"):
            await jwks.find_key("a")
        assert len(server.requests) == 1
