"""The connections below the outbound client: which may be dialled, and which used again.

`socket_factory` is the one hook of aiohttp that sees the address which is really dialled: a
resolver is not asked about numeric hosts, and a check before the request sees another DNS answer
than the request. The rest guards connections that wait for their next request, since aiohttp
would take what a receiver sent in between for the next answer, and keep any amount of it.
"""

import asyncio
import errno
import functools
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import (
    AddrInfoType,
    ClientError,
    ClientRequest,
    ClientTimeout,
    ServerDisconnectedError,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace
from typing_extensions import override

from ssf.rules.egress import EgressPolicy, address_refusal

# RFC 9110 section 15.2 sets no limit; nobody needs more, and each costs time of all others.
_MAX_INTERIM_ANSWERS: Final = 8
_INTERIM_CODES: Final = frozenset(range(100, 200)) - {101}
# A DNS answer may hold thousands of addresses, and aiohttp starts over with one less after each
# round of failures: work that grows with the square. Of each family, or one could hide the other.
_MAX_ADDRESSES_PER_FAMILY: Final = 4
# getaddrinfo cannot be cancelled. A pool of its own and not too small, so that some receivers
# with dead name servers hold up neither the others nor other work in threads.
_RESOLVER_THREADS: Final = 32


class InterimAnswersError(ClientError):
    """Only interim (1xx) answers, and too many of them."""


class _AddressRefusedError(OSError):
    """Stands in for a failed connect, so that aiohttp goes on to the next address.

    All have the same text: only then does aiohttp leave the type alone when it joins several.
    """

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "address refused")


@dataclass(slots=True)
class Attempt:
    """What one request has met so far; shared by all tasks that aiohttp starts for it.

    Attributes:
        dialled_count: Sockets that were made, all of them for permitted addresses.
        refusals: Why addresses were refused, in the words of `address_refusal`.
        connections: What was used, newest last, each with its transport, which the handler
            forgets on closing.
        insists_on_new: Whether waiting connections are passed over.
    """

    dialled_count: int = 0
    refusals: list[str] = field(default_factory=list)
    connections: list[tuple["AnswerHandler", asyncio.Transport]] = field(default_factory=list)
    insists_on_new: bool = False

    def all_addresses_refused(self) -> bool:
        """Tell whether there were addresses, and the policy forbade every one."""
        return bool(self.refusals) and not self.dialled_count

    def met_closed_connection(self) -> bool:
        """Tell whether the last connection had waited in the pool and gave no byte of an answer."""
        if not self.connections:
            return False
        handler, _ = self.connections[-1]
        return handler.is_reused and not handler.received_bytes

    def abort_closed_connections(self) -> None:
        """Drop what aiohttp is closing.

        A polite close waits until the other side has taken all that was written (and for TLS,
        has said goodbye), which a hostile one never does: each attempt would leave a socket.
        """
        for handler, transport in self.connections:
            if handler.transport is None:
                transport.abort()


current_attempt: ContextVar[Attempt] = ContextVar("current_attempt")


class AnswerHandler(ResponseHandler):
    """One connection's parser, which takes nothing that was not asked for.

    Attributes:
        has_served: Whether a request was begun on it.
        is_reused: Whether the present request is not the first one.
        received_bytes: What came since the present request was begun.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.received_bytes = 0
        self.has_served = False
        self.is_reused = False
        self._interim_count = 0
        self._is_answered = False

    @override
    def set_response_params(self, **parameters: Any) -> None:
        self.is_reused = self.has_served
        self.has_served = True
        self.received_bytes = 0
        self._interim_count = 0
        self._is_answered = False
        super().set_response_params(**parameters)

    @override
    def data_received(self, data: bytes) -> None:
        # aiohttp calls with no data to go on with what it has put aside.
        if data and self._is_answered and self._payload is not None and self._payload.is_eof():
            self._drop()
            return
        self.received_bytes += len(data)
        super().data_received(data)

    @override
    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        code = data[0].code
        if code in _INTERIM_CODES:
            self._interim_count += 1
            if self._interim_count > _MAX_INTERIM_ANSWERS:
                self.set_exception(InterimAnswersError())
                self._drop()
                return
        else:
            self._is_answered = True
            if code < 200 or self._has_unsent_bytes():
                self.force_close()
        super().feed_data(data, size)

    def _has_unsent_bytes(self) -> bool:
        """Tell whether the answer came before the request was taken, which may never be."""
        transport = self.transport
        return transport is not None and transport.get_write_buffer_size() > 0

    def _drop(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.abort()


def _new_handler(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return AnswerHandler(loop)


class GuardedConnector(TCPConnector):
    """Dials permitted addresses only, and hands out connections with an `AnswerHandler`.

    Must be used within a context in which `current_attempt` is set.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: AbstractResolver,
        ssl_context: ssl.SSLContext,
        connections_per_host: int,
        keepalive_seconds: float,
    ) -> None:
        super().__init__(
            resolver=_FewAddresses(resolver),
            ssl=ssl_context,
            socket_factory=self._open_socket,
            limit=0,
            limit_per_host=connections_per_host,
            keepalive_timeout=keepalive_seconds,
        )
        self._policy = policy
        # aiohttp has no public way to set the protocol class; `connect` fails if this one goes.
        self._factory = functools.partial(_new_handler, loop=self._loop)

    @override
    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> Connection:
        attempt = current_attempt.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            handler, transport = connection.protocol, connection.transport
            if handler is None or transport is None:  # lost as soon as it was made
                connection.close()
                raise ServerDisconnectedError
            if not isinstance(handler, AnswerHandler):
                connection.close()
                raise TypeError("aiohttp did not use our protocol class")
            if not (attempt.insists_on_new and handler.has_served):
                attempt.connections.append((handler, transport))
                return connection
            connection.close()
            transport.abort()

    def _open_socket(self, address_info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, target = address_info
        attempt = current_attempt.get()
        refusal = address_refusal(str(target[0]), int(target[1]), self._policy)
        if refusal is not None:
            attempt.refusals.append(refusal)
            raise _AddressRefusedError
        attempt.dialled_count += 1
        return socket.socket(family=family, type=kind, proto=protocol)


class _FewAddresses(AbstractResolver):
    """Shortens the answers of another resolver."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        is_v6 = [":" in item["host"] for item in found]
        return [
            item
            for position, item in enumerate(found)
            if is_v6[:position].count(is_v6[position]) < _MAX_ADDRESSES_PER_FAMILY
        ]

    @override
    async def close(self) -> None:
        """Leave the other one to its owner."""


class PooledResolver(AbstractResolver):
    """getaddrinfo in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="egress-dns")

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        look_up = functools.partial(
            socket.getaddrinfo,
            host,
            port,
            family=family,
            type=socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found_family, _, protocol, _, address in found
        ]

    @override
    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
