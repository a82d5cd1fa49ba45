"""Which URLs this transmitter may call, and which addresses it may dial.

A URL that a receiver hands us is a wish of theirs and a request of ours: without a check it
reaches whatever *we* can reach (OWASP "server-side request forgery"). There are two checks,
because neither is enough alone:

- `check_url` at write time. It reads only the string, so that a typo or a forbidden address is
  answered with a sentence instead of with deliveries that fail. It does not know what a name
  means.
- `address_refusal` at dial time, asked for the very address that the socket is about to connect
  to. This one is the guard: names, changed DNS answers and odd spellings all end here.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from ssf.rules.egress_addresses import (
    HTTP_PORT,
    HTTPS_PORT,
    EgressPolicy,
    address_refusal,
    parse_networks,
    usual_ports,
)
from ssf.rules.errors import UrlRefused

__all__ = ["MAX_URL_LENGTH", "EgressPolicy", "address_refusal", "check_url", "parse_networks"]

MAX_URL_LENGTH: Final = 2048

_MAX_PORT: Final = 65_535
_MAX_NAME_LENGTH: Final = 253  # RFC 1035 section 2.3.4, without the trailing dot

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?]*)(?:[/?].*)?")
_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
)
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMERIC_LABEL: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_LOOPBACKS: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_ALLOW_HINT: Final = "The operator can permit a network with SSF_EGRESS_ALLOW."


class _UnfitError(Exception):
    """What is wrong with a URL, as a sentence."""


def check_url(url: object, policy: EgressPolicy, *, field: str) -> str:
    """Refuse a URL that we would never call; what its name resolves to is judged at dial time.

    A host that ends in a number is an IPv4 address in one of the spellings of inet_aton
    (`127.1`, `0x7f000001`, `2130706433`), since name resolution would take it for one. It is
    judged as that address, and then only the usual spelling is accepted.

    A host name may carry any port when `allowed_networks` is not empty: whether the address
    behind it lies in one of them is known only at dial time, and the port is judged again there.

    Args:
        url: The value as it came in.
        policy: What the operator permits.
        field: Path of the member that holds the URL, for the refusal.

    Returns:
        The same URL, unchanged.

    Raises:
        UrlRefused: Says what is wrong and what to do.
    """
    try:
        text = _require_plain_text(url)
        scheme, authority = _split(text)
        _check_scheme(scheme, policy)
        host, port = _parse_authority(authority)
        if port is None:
            port = HTTPS_PORT if scheme == "https" else HTTP_PORT
        _check_host(host, port, policy)
    except _UnfitError as exc:
        raise UrlRefused(str(exc), field=field) from exc
    return text


def _require_plain_text(url: object) -> str:
    if not isinstance(url, str):
        raise _UnfitError("The URL must be a string.")
    if not url:
        raise _UnfitError("The URL is empty.")
    if len(url) > MAX_URL_LENGTH:
        raise _UnfitError(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if "\\" in url or not all("\x21" <= character <= "\x7e" for character in url):
        raise _UnfitError(
            "The URL may hold printable ASCII characters only, and neither spaces nor "
            "backslashes. Percent-encode others, and write a host name in its xn-- form."
        )
    return url


def _split(url: str) -> tuple[str, str]:
    if "#" in url:
        raise _UnfitError("The URL must not have a fragment: leave out # and all that follows.")
    match = _URL.fullmatch(url)
    if match is None:
        raise _UnfitError("The URL must be absolute, such as https://receiver.example/events.")
    return match["scheme"].lower(), match["authority"]


def _check_scheme(scheme: str, policy: EgressPolicy) -> None:
    if scheme == "https" or (scheme == "http" and policy.allow_http):
        return
    if scheme == "http":
        raise _UnfitError(
            "The URL must use https. For tests, the operator can permit http with SSF_ALLOW_HTTP=1."
        )
    raise _UnfitError("The URL must use https.")


def _parse_authority(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise _UnfitError(
            "The URL must not hold a user name or a password. Send credentials in a header."
        )
    if not authority or authority.startswith(":"):
        raise _UnfitError("The URL has no host.")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise _UnfitError(
            "The host must be a DNS name, an IPv4 address or an IPv6 address in brackets without "
            "a zone identifier, with nothing but :port behind it."
        )
    return match["host"], None if match["port"] is None else int(match["port"])


def _check_host(host: str, port: int, policy: EgressPolicy) -> None:
    if not 1 <= port <= _MAX_PORT:
        raise _UnfitError(f"The port must be from 1 to {_MAX_PORT}.")
    literal = _literal(host)
    if literal is None:
        _check_name(host, port, policy)
    else:
        _check_literal(host, literal, port, policy)


def _check_literal(
    host: str, literal: IPv4Address | IPv6Address, port: int, policy: EgressPolicy
) -> None:
    refusal = address_refusal(str(literal), port, policy)
    if refusal == "port":
        raise _port_unfit(port, policy)
    if refusal is not None:
        raise _UnfitError(
            f"The address {literal} is not on the public internet ({refusal}). {_ALLOW_HINT}"
        )
    if isinstance(literal, IPv4Address) and host != str(literal):
        raise _UnfitError(f"Write the address {host} as {literal}.")


def _check_name(host: str, port: int, policy: EgressPolicy) -> None:
    name = host.removesuffix(".").lower()
    if len(name) > _MAX_NAME_LENGTH or not all(map(_LABEL.fullmatch, name.split("."))):
        raise _UnfitError("The host is not a valid DNS name.")
    if name.split(".")[-1] == "localhost" and not _allows_loopback(policy):  # RFC 6761 section 6.3
        raise _UnfitError(f"The name {host} stands for this machine itself. {_ALLOW_HINT}")
    if not policy.allowed_networks and port not in usual_ports(policy):
        raise _port_unfit(port, policy)


def _allows_loopback(policy: EgressPolicy) -> bool:
    return any(
        loopback in network for network in policy.allowed_networks for loopback in _LOOPBACKS
    )


def _port_unfit(port: int, policy: EgressPolicy) -> _UnfitError:
    usual = " or ".join(str(usual) for usual in usual_ports(policy))
    return _UnfitError(
        f"Port {port} is not called on public addresses, only {usual}. The operator can permit "
        "a network at any port with SSF_EGRESS_ALLOW."
    )


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """Read a host as an address, or return None when it is a name."""
    if host.startswith("["):
        try:
            return IPv6Address(host[1:-1])
        except ValueError as exc:
            raise _UnfitError("The host in brackets is not an IPv6 address.") from exc
    parts = host.removesuffix(".").split(".")
    if not _NUMERIC_LABEL.fullmatch(parts[-1]):
        return None
    return _inet_aton(parts)


def _inet_aton(parts: list[str]) -> IPv4Address:
    """Join one to four numbers as inet_aton does: the last one fills all bytes that are left."""
    try:
        *heads, tail = (_inet_aton_number(part) for part in parts)
    except ValueError as exc:
        raise _UnfitError("The host ends in a number but is not an IPv4 address.") from exc
    tail_bytes = 4 - len(heads)
    if tail_bytes < 1 or tail >= 256**tail_bytes or any(head > 255 for head in heads):
        raise _UnfitError("The host ends in a number but is not an IPv4 address.")
    return IPv4Address(bytes(heads) + tail.to_bytes(tail_bytes, "big"))


def _inet_aton_number(part: str) -> int:
    if not _NUMERIC_LABEL.fullmatch(part):
        raise ValueError(part)
    if part[:2].lower() == "0x":
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)
