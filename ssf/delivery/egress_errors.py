"""How an outbound request can fail, in our own words.

    EgressFailed
    |-- EgressBlocked           the policy forbids the URL or every address behind its name
    |-- EgressTimeout           no answer within the deadline
    |-- EgressConnectionFailed  the name, the connection or its loss
    |-- EgressTlsFailed         the certificate or the handshake
    `-- EgressProtocolFailed    what came back, or what was to be sent, is not HTTP

A description is fit for attempt records and logs: it never holds a header, a body, a path, a
query or an address that a name resolved to (that would turn us into a map of the inside). The
`__cause__` makes no such promise, so log the description and not the traceback.
"""

import os
import socket
import ssl
from typing import ClassVar

from aiohttp import (
    ClientConnectionError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientSSLError,
    ServerDisconnectedError,
)


class EgressFailed(Exception):
    """No answer came from the other side.

    Attributes:
        outcome: Stable word for records and programs.
        description: Sentence for people. Nothing secret.
    """

    outcome: str
    OUTCOME: ClassVar[str] = "failed"

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description
        self.outcome = self.OUTCOME


class EgressBlocked(EgressFailed):
    """The policy forbids this call; nothing was sent."""

    OUTCOME = "blocked_address"


class EgressTimeout(EgressFailed):
    """The deadline was over before the status of an answer had come."""

    OUTCOME = "timeout"


class EgressConnectionFailed(EgressFailed):
    """The name could not be resolved, or the connection could not be made or was lost."""

    OUTCOME = "connection_error"


class EgressTlsFailed(EgressFailed):
    """The other side could not prove who it is, or TLS broke. Nothing was sent in clear."""

    OUTCOME = "tls_error"


class EgressProtocolFailed(EgressFailed):
    """The answer is not HTTP as we accept it, or the request cannot be written as HTTP."""

    OUTCOME = "protocol_error"


def explain_failure(exc: Exception) -> EgressFailed:
    """Translate an exception of aiohttp, of a socket or of TLS; the caller raises it `from exc`."""
    tls = _tls_cause(exc)
    if tls is not None or isinstance(exc, ClientSSLError):
        return EgressTlsFailed(f"TLS failed: {_tls_reason(tls)}.")
    if isinstance(exc, ClientConnectorDNSError):
        return EgressConnectionFailed(f"The host name was not resolved: {_os_reason(exc)}.")
    if isinstance(exc, ClientConnectorError):
        return EgressConnectionFailed(f"No connection could be made: {_os_reason(exc)}.")
    if isinstance(exc, ServerDisconnectedError):
        return EgressConnectionFailed("The receiver closed the connection without an answer.")
    if isinstance(exc, OSError | ClientConnectionError):
        return EgressConnectionFailed(f"The connection was lost: {_os_reason(exc)}.")
    return EgressProtocolFailed("The answer is not HTTP as we accept it.")


def _tls_cause(exc: BaseException | None) -> ssl.SSLError | None:
    """Find TLS behind an exception: an alert after the handshake comes wrapped as lost link."""
    while exc is not None:
        if isinstance(exc, ssl.SSLError):
            return exc
        exc = exc.__cause__
    return None


def _tls_reason(exc: ssl.SSLError | None) -> str:
    cause = exc if exc is None or not isinstance(exc, ClientConnectorError) else exc.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message.rstrip(".")
    reason = getattr(cause, "reason", None)
    return reason.replace("_", " ").lower() if isinstance(reason, str) else "handshake broken off"


def _os_reason(exc: Exception) -> str:
    """Name the system's reason without the message, in which asyncio writes the address."""
    cause = exc.os_error if isinstance(exc, ClientConnectorError) else exc
    number = cause.errno if isinstance(cause, OSError) else None
    if number is None:
        return "no reason given"
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror).lower()
    return os.strerror(number).lower()
