"""Request heads are bounded, bodies are not touched by that; over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from typing_extensions import override

from ssf.api.bounded_http import MAX_HEAD_BYTES, BoundedHttpProtocol


async def _length(_scope: Any, receive: Any, send: Any) -> None:
    """Answers how long the body was."""
    length = 0
    more = True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    @override
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = _Server(
        uvicorn.Config(
            _length,
            port=0,
            http=BoundedHttpProtocol,
            lifespan="off",
            log_config=None,
            interface="asgi3",
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve())
    await server.is_up.wait()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def _exchange(port: int, *sent: bytes) -> bytes:
    """Sends all of it and returns everything that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        for piece in sent:
            writer.write(piece)
            await writer.drain()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


def _request(length: int, *, close: bool = True) -> bytes:
    connection = b"close" if close else b"keep-alive"
    return (
        b"PUT / HTTP/1.1\r\nhost: h\r\nconnection: %b\r\ncontent-length: %d\r\n\r\n"
        % (connection, length)
        + b"x" * length
    )


@pytest.mark.parametrize("length", [0, 1, 65_535, 65_536, 65_537, 100_000, 1_000_000])
async def test_a_body_of_any_length_passes_in_one_write(port: int, length: int) -> None:
    answer = await _exchange(port, _request(length))

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(str(length).encode())


async def test_large_bodies_one_after_the_other_pass_on_one_connection(port: int) -> None:
    answer = await _exchange(
        port, _request(100_000, close=False), _request(70_000, close=False), _request(3)
    )

    assert answer.count(b"HTTP/1.1 200") == 3


async def test_a_head_just_within_the_bound_passes(port: int) -> None:
    value = b"v" * (MAX_HEAD_BYTES - 200)
    answer = await _exchange(
        port, b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx: " + value + b"\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 200")


async def test_one_field_that_never_ends_is_431(port: int) -> None:
    pieces = [b"v" * 10_000] * 20
    answer = await _exchange(port, b"GET / HTTP/1.1\r\nhost: h\r\nx: ", *pieces)

    assert answer.startswith(b"HTTP/1.1 431") or answer == b""


async def test_one_large_field_in_one_write_is_431(port: int) -> None:
    answer = await _exchange(
        port, b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"v" * (MAX_HEAD_BYTES + 1) + b"\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 431")
    assert b"HTTP/1.1 200" not in answer


async def test_many_small_fields_are_431(port: int) -> None:
    answer = await _exchange(port, b"GET / HTTP/1.1\r\nhost: h\r\n" + b"a:b\r\n" * 5_000 + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 431")


async def test_trailers_count_like_fields_and_end_the_connection(port: int) -> None:
    head = b"PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    answer = await _exchange(port, head, *[b"a:b\r\n" * 1_000] * 50)

    assert b"HTTP/1.1 200" not in answer
