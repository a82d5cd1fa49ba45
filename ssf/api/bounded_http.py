"""HTTP with a bound on what is not the body: uvicorn's httptools reader has none."""

from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""Longest request line and header fields together, trailers of a chunked body included."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)
_FIELD_OVERHEAD_BYTES = 32
"""What a header field costs beside its own bytes; a million empty ones are not free."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends a connection whose request has too large a head: 431 (RFC 6585 §5)."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._is_in_head = True
        self._unfinished_bytes = 0
        self._field_bytes = 0

    @override
    def data_received(self, data: bytes) -> None:
        # A head that goes on and on within one field is never reported as a field, so segments
        # that neither end a head nor belong to a body are counted as they come.
        was_in_head = self._is_in_head
        self._unfinished_bytes += len(data) if was_in_head else 0
        super().data_received(data)
        if not self._is_in_head:
            self._unfinished_bytes = 0
        elif was_in_head and self._unfinished_bytes > MAX_HEAD_BYTES:
            self._refuse()

    @override
    def on_message_begin(self) -> None:
        self._field_bytes = 0
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._field_bytes += len(name) + len(value) + _FIELD_OVERHEAD_BYTES
        if self._field_bytes > MAX_HEAD_BYTES:
            self._refuse()
            return
        super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if not self.transport.is_closing():
            super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._is_in_head = True
        self._unfinished_bytes = 0
        if not self.transport.is_closing():
            super().on_message_complete()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
