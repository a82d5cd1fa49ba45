"""What can be said about a push request before its SET is looked at: who, what kind, how much.

From cheap to dear: method, authorization, media type, encoding, announced length; only then is
the body read, within bounds of size and time. Sources: RFC 8935 §2.1 and §4, SSF 1.0 §6.1.1.
"""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from receiver.errors import HttpRefusal
from ssf.protocol.push import is_set_media_type

# ASGI 3.0, in words of the standard library.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


class ClientGone(Exception):  # not a ReceiverError: it never leaves the endpoint
    """The peer went away before its request was complete; nobody is left to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequestRules:
    """What a push request must be like.

    Attributes:
        authorization: What the `Authorization` header must be, character by character; None when
            none is asked for.
        max_body_bytes: Longest body.
        body_seconds: How long the whole body may take to arrive.
    """

    authorization: str | None = field(repr=False)
    max_body_bytes: int
    body_seconds: float

    def __post_init__(self) -> None:
        # An empty or padded value is a mistake in somebody's configuration: with it, either
        # everybody would get in or nobody.
        if self.authorization is not None and not _HEADER_VALUE.fullmatch(self.authorization):
            raise ValueError("authorization must be visible ASCII characters, or None")

    def check_head(self, scope: Scope) -> None:
        """Look at everything but the body.

        Raises:
            HttpRefusal: 405, 401, 415 or 413.
        """
        if scope["method"] != "POST":
            raise HttpRefusal(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "POST"})
        if not self._is_authorized(_values(scope, b"authorization")):
            raise HttpRefusal(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        types = _values(scope, b"content-type")
        if len(types) != 1 or not is_set_media_type(types[0].decode("latin-1")):
            raise HttpRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        encodings = b",".join(_values(scope, b"content-encoding")).split(b",")
        if any(encoding.strip().lower() not in (b"", b"identity") for encoding in encodings):
            raise HttpRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"Accept-Encoding": "identity"})
        if any(self._is_too_long(length) for length in _values(scope, b"content-length")):
            raise _leaving_the_body_unread(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, scope)

    async def read_body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the whole body, or give up as soon as it is too long or too slow.

        Raises:
            HttpRefusal: 413 or 408.
            ClientGone: The peer went away.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(self.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise ClientGone
                    body += message.get("body", b"")
                    if len(body) > self.max_body_bytes:
                        raise _leaving_the_body_unread(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, scope)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise _leaving_the_body_unread(HTTPStatus.REQUEST_TIMEOUT, scope) from None
        return bytes(body)

    def _is_authorized(self, given: list[bytes]) -> bool:
        if self.authorization is None:
            return True
        # Two headers are no header: which of them counts would depend on who reads.
        if len(given) != 1:
            return False
        return hmac.compare_digest(given[0], self.authorization.encode("ascii"))

    def _is_too_long(self, content_length: bytes) -> bool:
        digits = content_length.lstrip(b"0")
        if not digits.isdigit():
            return False  # nonsense is the server's business; the body is counted anyway
        # Not as a number before it is short: int() takes quadratic time and refuses 4300 digits.
        return len(digits) > len(str(self.max_body_bytes)) or int(digits) > self.max_body_bytes


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for header, value in scope["headers"] if header.lower() == name]


def _leaving_the_body_unread(status: HTTPStatus, scope: Scope) -> HttpRefusal:
    # The rest of the body is not wanted. HTTP/2 and later forbid the header and need it not.
    is_http_1 = scope.get("http_version", "1.1").startswith("1")
    return HttpRefusal(status, {"Connection": "close"} if is_http_1 else {})
