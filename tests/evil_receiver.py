"""A receiver of pushed events that misbehaves on demand: raw TCP, one script per path.

    async with EvilReceiver() as receiver:
        receiver.on("/ok", answer(202))
        receiver.on("/flaky", reset(), answer(202))       # one behaviour per request, last repeats
        receiver.on_connect(never_read())                 # before any request is read
        await client.post(receiver.url("/ok"), ...)
        assert receiver.requests[0].headers["accept"] == "application/json"

A behaviour is an async function of an `Exchange`. When it returns, the server reads the next
request of the connection, unless the behaviour ended the connection.
"""

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, cast

_HEAD_LIMIT_BYTES = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request as it came off the wire; header names are in lower case."""

    connection: int
    target: str
    headers: Mapping[str, str]
    header_names: tuple[str, ...]
    body: bytes
    raw: bytes


@dataclass(slots=True, kw_only=True)
class Exchange:
    """What a behaviour has in its hands."""

    request: ReceivedRequest | None
    requests_on_connection: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_over: bool = False

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hang(self) -> None:
        """Do nothing until the other side goes away or the server ends."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass
        self.is_over = True

    def pause_reading(self) -> None:
        cast(asyncio.ReadTransport, self.writer.transport).pause_reading()

    def resume_reading(self) -> None:
        cast(asyncio.ReadTransport, self.writer.transport).resume_reading()

    def close(self) -> None:
        self.is_over = True
        self.writer.close()

    def reset(self) -> None:
        """End the connection with RST."""
        self.is_over = True
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def finish_sending(self) -> None:
        """Send FIN but go on reading."""
        self.writer.write_eof()


Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class _Script:
    behaviours: tuple[Behaviour, ...]
    served_count: int = 0

    def next(self) -> Behaviour:
        index = min(self.served_count, len(self.behaviours) - 1)
        self.served_count += 1
        return self.behaviours[index]


@dataclass(slots=True)
class EvilReceiver:
    """See the module. `ssl_context` makes it speak TLS; port 0 is replaced by a free one."""

    ssl_context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[ReceivedRequest] = field(default_factory=list)
    connection_count: int = 0
    _scripts: dict[str, _Script] = field(default_factory=dict)
    _at_connect: _Script | None = None
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _transports: set[asyncio.WriteTransport] = field(default_factory=set)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, self.host, self.port, limit=_HEAD_LIMIT_BYTES, ssl=self.ssl_context
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for transport in self._transports:
            transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)

    def url(self, target: str = "/", *, host: str | None = None) -> str:
        scheme = "http" if self.ssl_context is None else "https"
        return f"{scheme}://{host or self.host}:{self.port}{target}"

    def on(self, path: str, *behaviours: Behaviour) -> None:
        """Script a path: the first request gets the first behaviour, the last one repeats."""
        self._scripts[path] = _Script(behaviours)

    def on_connect(self, *behaviours: Behaviour) -> None:
        """Script connections likewise; runs before a request is read."""
        self._at_connect = _Script(behaviours)

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    async def wait_for_requests(self, count: int, *, timeout_seconds: float = 5.0) -> None:
        """Wait until so many requests have come in all."""
        async with asyncio.timeout(timeout_seconds), self._news:
            await self._news.wait_for(lambda: len(self.requests) >= count)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Not a coroutine: asyncio's own task for one logs an error when it is cancelled.
        self.connection_count += 1
        self._transports.add(writer.transport)
        task = asyncio.create_task(self._serve(self.connection_count, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._serve_requests(connection, reader, writer)
        finally:
            writer.close()
            self._transports.discard(writer.transport)

    async def _serve_requests(
        self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        exchange = Exchange(request=None, requests_on_connection=0, reader=reader, writer=writer)
        if self._at_connect is not None:
            await self._at_connect.next()(exchange)
        while not exchange.is_over:
            exchange.request = await _read_request(connection, reader)
            exchange.requests_on_connection += 1
            self.requests.append(exchange.request)
            async with self._news:
                self._news.notify_all()
            path = exchange.request.target.partition("?")[0]
            await self._scripts.get(path, _NOT_FOUND).next()(exchange)


async def _read_request(connection: int, reader: asyncio.StreamReader) -> ReceivedRequest:
    head = await reader.readuntil(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return ReceivedRequest(
        connection=connection,
        target=start.split(" ")[1],
        headers=headers,
        header_names=tuple(name for name, _ in pairs),
        body=body,
        raw=head + body,
    )


def head_bytes(status: int, headers: Mapping[str, str] | None = None) -> bytes:
    """Write the header of an answer, with its empty line."""
    lines = [f"HTTP/1.1 {status} X"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer_bytes(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """Write a whole and correct answer."""
    return head_bytes(status, {**(headers or {}), "Content-Length": str(len(body))}) + body


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """Answer correctly and keep the connection."""
    return raw(answer_bytes(status, headers, body))


def redirect(status: int, location: str) -> Behaviour:
    """Point somewhere else."""
    return answer(status, {"Location": location})


def raw(*parts: bytes, pause_seconds: float = 0.0) -> Behaviour:
    """Send these bytes, with a pause between the parts, and keep the connection."""

    async def behave(exchange: Exchange) -> None:
        for index, part in enumerate(parts):
            if index and pause_seconds:
                await asyncio.sleep(pause_seconds)
            await exchange.send(part)

    return behave


def raw_then_close(data: bytes = b"") -> Behaviour:
    """Send these bytes and close with FIN. Without bytes: an answer never comes."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.close()

    return behave


def raw_then_hang(data: bytes = b"") -> Behaviour:
    """Send these bytes and nothing more, and stay connected."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(data)
        await exchange.hang()

    return behave


def raw_then_half_close(data: bytes = b"") -> Behaviour:
    """Send these bytes, then FIN, but stay and go on reading."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(data)
        exchange.finish_sending()
        await exchange.hang()

    return behave


def reset(data: bytes = b"", *, pause_seconds: float = 0.05) -> Behaviour:
    """Send these bytes, let them arrive, and break off with RST."""

    async def behave(exchange: Exchange) -> None:
        if data:
            await exchange.send(data)
            await asyncio.sleep(pause_seconds)
        exchange.reset()

    return behave


def hang() -> Behaviour:
    """Read the request and say nothing."""
    return raw_then_hang()


def never_read() -> Behaviour:
    """For `on_connect`: take nothing off the socket, so that the sender's window closes."""

    async def behave(exchange: Exchange) -> None:
        exchange.pause_reading()
        await asyncio.Event().wait()

    return behave


def read_late(may_read: asyncio.Event, taken: asyncio.Future[bytes]) -> Behaviour:
    """For `on_connect`: read nothing until the event, then all there is up to the end."""

    async def behave(exchange: Exchange) -> None:
        exchange.pause_reading()
        await may_read.wait()
        exchange.resume_reading()
        data = b""
        with contextlib.suppress(ConnectionError):
            while block := await exchange.reader.read(65_536):
                data += block
        taken.set_result(data)
        exchange.close()

    return behave


def drip(data: bytes, *, at_once: bytes = b"", every_seconds: float = 0.05) -> Behaviour:
    """Send `at_once`, then `data` byte by byte, then close."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(at_once)
        for position in range(len(data)):
            await asyncio.sleep(every_seconds)
            await exchange.send(data[position : position + 1])
        exchange.close()

    return behave


def endless(data: bytes, *, at_once: bytes = b"") -> Behaviour:
    """Send `at_once`, then `data` again and again as fast as it is taken."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(at_once)
        while True:
            await exchange.send(data)

    return behave


def infinite_body(status: int = 202, length: int | None = None) -> Behaviour:
    """Answer with a body without end, chunked or as part of an absurd Content-Length."""
    if length is None:
        block = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        return endless(block, at_once=head_bytes(status, {"Transfer-Encoding": "chunked"}))
    return endless(b"x" * 65_536, at_once=head_bytes(status, {"Content-Length": str(length)}))


def gzip_bomb(status: int = 202, inflated_bytes: int = 50_000_000) -> Behaviour:
    """Answer with some KB that would inflate to very much."""
    return answer(status, {"Content-Encoding": "gzip"}, gzip.compress(bytes(inflated_bytes)))


def huge_header(size_bytes: int = 1_000_000) -> Behaviour:
    """Answer with one very long header."""
    return answer(202, {"X-Padding": "x" * size_bytes})


def many_headers(count: int = 10_000) -> Behaviour:
    """Answer with very many headers."""
    return answer(202, {f"X-{number}": "x" for number in range(count)})


def interim_answers(count: int) -> Behaviour:
    """Answer `100 Continue` many times and then 202."""
    return raw(b"HTTP/1.1 100 Continue\r\n\r\n" * count + answer_bytes(202))


def two_answers(first: int = 202, second: int = 299) -> Behaviour:
    """Put a second answer, which nobody asked for, right behind the first."""
    return raw(answer_bytes(first) + answer_bytes(second))


def answer_then_more(data: bytes, *, status: int = 202, pause_seconds: float = 0.05) -> Behaviour:
    """Answer correctly, and send more once the connection waits for its next request."""
    return raw(answer_bytes(status), data, pause_seconds=pause_seconds)


def close_on_reuse(status: int = 202, *, with_reset: bool = False) -> Behaviour:
    """Answer the first request of a connection; drop it unanswered at the second."""

    async def behave(exchange: Exchange) -> None:
        if exchange.requests_on_connection == 1:
            await exchange.send(answer_bytes(status))
        elif with_reset:
            exchange.reset()
        else:
            exchange.close()

    return behave


_NOT_FOUND = _Script((answer(404),))
