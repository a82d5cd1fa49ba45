"""The one outbound client. Everything that this server calls because a receiver said so.

It treats the other side as hostile: addresses are checked on the socket that is dialled, one
deadline covers the whole call, redirects are not followed, nothing is decompressed, no proxy,
cookie or netrc is picked up from the surroundings, and an answer is its status: what the other
side does after its header can spoil the body but not the answer.
"""

import asyncio
import contextlib
import functools
import re
import ssl
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Final, Self

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
)
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ssf.delivery.egress_answer import EgressAnswer, read_answer
from ssf.delivery.egress_connections import (
    Attempt,
    GuardedConnector,
    PooledResolver,
    current_attempt,
)
from ssf.delivery.egress_errors import (
    EgressBlocked,
    EgressConnectionFailed,
    EgressFailed,
    EgressProtocolFailed,
    EgressTimeout,
    EgressTlsFailed,
    explain_failure,
)
from ssf.rules.egress import EgressPolicy, check_url
from ssf.rules.errors import UrlRefused

__all__ = [
    "EgressAnswer",
    "EgressBlocked",
    "EgressClient",
    "EgressConnectionFailed",
    "EgressFailed",
    "EgressProtocolFailed",
    "EgressTimeout",
    "EgressTlsFailed",
]

_CLOSE_SECONDS: Final = 5.0
_CHECKED_URLS_COUNT: Final = 4096
_MAX_HEADER_LINE_BYTES: Final = 8190
_MAX_HEADERS_COUNT: Final = 100

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # token, RFC 9110 section 5.6.2
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
# Ours alone: these frame the message, pick the connection or ask for what we do not handle.
_RESERVED_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NO_TIMEOUT: Final = ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class EgressClient:
    """POSTs to addresses that others chose. Use as `async with`, for the life of the process.

    Args:
        policy: What may be called.
        user_agent: Sent with every request.
        deadline_seconds: For one call in all: a free connection, DNS, connect, TLS, request,
            answer. Only `max_body_bytes` and this bound what a receiver can make us spend.
        body_grace_seconds: How long we wait for the body once the header is here, within the
            deadline. The body is a courtesy: it explains an error.
        max_body_bytes: How much of a body is read. A longer one may cost the connection.
        connections_per_host: Calls beyond this many to one host wait, and the wait counts.
        keepalive_seconds: How long a connection is kept for the next call to the same host.
        ssl_context: Instead of the system's certificates and TLS 1.2 or newer.
        resolver: Instead of the system's, and closed by its owner. Its answers are checked like
            any.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        user_agent: str,
        deadline_seconds: float = 15.0,
        body_grace_seconds: float = 2.0,
        max_body_bytes: int = 65_536,
        connections_per_host: int = 64,
        keepalive_seconds: float = 15.0,
        ssl_context: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._policy = policy
        self._user_agent = user_agent
        self._deadline_seconds = deadline_seconds
        self._body_grace_seconds = body_grace_seconds
        self._max_body_bytes = max_body_bytes
        self._connections_per_host = connections_per_host
        self._keepalive_seconds = keepalive_seconds
        self._ssl_context = ssl_context or _default_ssl_context()
        self._resolver = resolver
        # Remembered, since the check would cost a tenth of a call.
        self._find_refusal = functools.lru_cache(_CHECKED_URLS_COUNT)(
            functools.partial(_find_refusal, policy)
        )
        self._exits = contextlib.AsyncExitStack()
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver = self._resolver
        if resolver is None:
            resolver = PooledResolver()
            self._exits.push_async_callback(resolver.close)
        connector = GuardedConnector(
            self._policy,
            resolver=resolver,
            ssl_context=self._ssl_context,
            connections_per_host=self._connections_per_host,
            keepalive_seconds=self._keepalive_seconds,
        )
        self._session = ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            skip_auto_headers=("Accept", "Content-Type"),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=_NO_TIMEOUT,
            max_line_size=_MAX_HEADER_LINE_BYTES,
            max_field_size=_MAX_HEADER_LINE_BYTES,
            max_headers=_MAX_HEADERS_COUNT,
        )
        self._exits.push_async_callback(_close_session, self._session)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session = None
        await self._exits.aclose()

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> EgressAnswer:
        """POST once and return the answer, whatever its status.

        A request that went out on a connection which the other side had closed while it waited
        is sent a second time, on a new connection and within the same deadline, if not a byte of
        an answer came. aiohttp itself repeats only idempotent methods (RFC 9110 section 9.2.2);
        what we send is idempotent by content, since a token may arrive twice (RFC 8935
        section 2). Anything else that fails is the caller's to repeat.

        Limit: when the framing of a body is broken within the very segment that carries the
        header, the parser gives up both, and the outcome is `protocol_error`.

        Args:
            url: As it was registered; it is checked again, since the policy may have changed,
                and sent byte for byte.
            headers: Sent beside `Host`, `Content-Length`, `User-Agent` and
                `Accept-Encoding: identity`, of which only `User-Agent` may be given.
            body: Sent as it is.

        Raises:
            EgressFailed: One of its subclasses: there is no answer.
        """
        if self._session is None:
            raise RuntimeError("EgressClient is used outside of its `async with`")
        refusal = self._find_refusal(url)
        if refusal is not None:
            raise EgressBlocked(refusal)
        fields = _require_sendable(headers)
        loop = asyncio.get_running_loop()
        deadline_at = loop.time() + self._deadline_seconds
        with _new_attempt() as attempt:
            with _translated(attempt):
                async with asyncio.timeout_at(deadline_at):
                    response = await self._send(self._session, url, fields, body)
            try:
                return await self._read_answer(response, deadline_at)
            finally:
                response.close()

    async def _send(
        self, session: ClientSession, url: str, fields: Mapping[str, str], body: bytes
    ) -> ClientResponse:
        """Send, and once more if a waiting connection turned out to be closed."""
        attempt = current_attempt.get()
        target = URL(url, encoded=True)
        try:
            return await session.post(target, headers=fields, data=body, allow_redirects=False)
        except ClientConnectionError:
            if not attempt.met_closed_connection():
                raise
        attempt.insists_on_new = True
        return await session.post(target, headers=fields, data=body, allow_redirects=False)

    async def _read_answer(self, response: ClientResponse, deadline_at: float) -> EgressAnswer:
        if response.status < 200:
            raise EgressProtocolFailed(
                f"The status {response.status} does not answer what was asked."
            )
        loop = asyncio.get_running_loop()
        until = min(deadline_at, loop.time() + self._body_grace_seconds)
        return await read_answer(response, max_body_bytes=self._max_body_bytes, until=until)


def _default_ssl_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _find_refusal(policy: EgressPolicy, url: str) -> str | None:
    try:
        check_url(url, policy, field="url")
    except UrlRefused as refusal:
        return refusal.description
    return None


async def _close_session(session: ClientSession) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await session.close()


@contextlib.contextmanager
def _new_attempt() -> Iterator[Attempt]:
    attempt = Attempt()
    token = current_attempt.set(attempt)
    try:
        yield attempt
    finally:
        current_attempt.reset(token)
        attempt.abort_closed_connections()


@contextlib.contextmanager
def _translated(attempt: Attempt) -> Iterator[None]:
    """Turn every exception of the libraries below into one of ours."""
    try:
        yield
    except TimeoutError as exc:
        raise EgressTimeout(_where_time_went(attempt)) from exc
    except (ClientError, HttpProcessingError, OSError) as exc:
        if attempt.all_addresses_refused():
            words = ", ".join(sorted(set(attempt.refusals)))
            raise EgressBlocked(
                f"No address of the host may be called ({words}). The operator can permit a "
                "network with SSF_EGRESS_ALLOW."
            ) from exc
        raise explain_failure(exc) from exc


def _where_time_went(attempt: Attempt) -> str:
    if attempt.connections:
        return "The receiver was connected but gave no answer within the deadline."
    if attempt.dialled_count:
        return "The connection was not made within the deadline."
    return "The host name was not resolved within the deadline, or no connection was free."


def _require_sendable(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            raise EgressProtocolFailed(f"The header name {name!r} cannot be used.")
        if not _HEADER_VALUE.fullmatch(value):
            raise EgressProtocolFailed(
                f"The value of the header {name} may hold printable ASCII characters only."
            )
    return headers
