"""Which addresses this transmitter may dial: the guard of every outbound connection.

It is asked for the very address that a socket is about to connect to, so that names, changed DNS
answers and odd spellings all end here.

What cannot be seen from here: a network-specific NAT64 prefix (RFC 6052 section 2.2) looks like
any public address. Where one is in use, the network has to filter behind it.
"""

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80

# The first match gives the word. IANA's IPv4 special-purpose registry (RFC 6890), and more:
_REFUSED_V4: Final = tuple(
    (word, IPv4Network(network))
    for word, network in (
        ("unspecified", "0.0.0.0/8"),
        ("private", "10.0.0.0/8"),
        ("private", "100.64.0.0/10"),  # carrier NAT, RFC 6598; 100.100.100.200 is metadata
        ("loopback", "127.0.0.0/8"),
        ("link_local", "169.254.0.0/16"),  # cloud metadata and credentials live here
        ("private", "172.16.0.0/12"),
        ("reserved", "192.0.0.0/24"),
        ("documentation", "192.0.2.0/24"),
        ("transition", "192.88.99.0/24"),  # 6to4 relays, RFC 7526
        ("private", "192.168.0.0/16"),
        ("private", "198.18.0.0/15"),  # benchmarks, RFC 2544
        ("documentation", "198.51.100.0/24"),
        ("documentation", "203.0.113.0/24"),
        ("multicast", "224.0.0.0/4"),
        ("reserved", "240.0.0.0/4"),
        # Looks public, answers only inside an Azure machine, and hands out its configuration.
        ("metadata", "168.63.129.16/32"),
    )
)

# Transition mechanisms are refused whole, whatever IPv4 address they carry: no receiver serves
# from a 6to4 (RFC 7526), Teredo (RFC 4380) or IPv4-compatible (RFC 4291 section 2.5.5.1) address.
_REFUSED_V6: Final = tuple(
    (word, IPv6Network(network))
    for word, network in (
        ("unspecified", "::/128"),
        ("loopback", "::1/128"),
        ("transition", "::/96"),
        ("transition", "64:ff9b:1::/48"),  # local-use NAT64, RFC 8215
        ("discard", "100::/64"),
        ("transition", "2001::/32"),
        ("reserved", "2001::/23"),
        ("documentation", "2001:db8::/32"),
        ("transition", "2002::/16"),
        ("documentation", "3fff::/20"),  # RFC 9637
        ("reserved", "5f00::/16"),  # SRv6 segment identifiers, RFC 9602
        ("private", "fc00::/7"),
        ("link_local", "fe80::/10"),
        ("private", "fec0::/10"),  # site-local, RFC 3879
        ("multicast", "ff00::/8"),
    )
)
# All that IANA has given out as global unicast. What is outside is refused without a list.
_GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """What the operator permits beyond https to public addresses.

    Attributes:
        allow_http: Whether `http://` URLs are called, and port 80 is dialled.
        allowed_networks: Networks that may be dialled although they are not public, at any port.
    """

    allow_http: bool = False
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read comma separated networks in CIDR notation; blank items are skipped.

    Args:
        text: Such as `127.0.0.0/8, ::1/128`. A bare address is a network of one.

    Raises:
        ValueError: An item is not a network, or has bits set beyond its prefix. Names the item.
    """
    items = (item.strip() for item in text.split(","))
    return tuple(_parse_network(item) for item in items if item)


def _parse_network(item: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(item)
    except ValueError as exc:
        raise ValueError(
            f"{item!r} is not a network such as 10.1.0.0/16 or fd00::/8: {exc}"
        ) from exc


def address_refusal(address: str, port: int, policy: EgressPolicy) -> str | None:
    """Tell why an address must not be dialled.

    An IPv6 address that only wraps an IPv4 one (IPv4-mapped, well-known NAT64) is judged as that
    one, because that is where the packets go. `ipaddress.is_global` alone would not do: it is
    true for multicast, for NAT64 of private addresses and for several reserved blocks.

    Args:
        address: An address in numbers, as handed to `connect`.
        port: The TCP port.
        policy: What the operator permits.

    Returns:
        None if it may be dialled, otherwise a word: `not_an_address`, `scoped` (has a zone
        identifier), `unspecified`, `loopback`, `link_local`, `private`, `documentation`,
        `reserved`, `transition`, `multicast`, `metadata`, `discard`, `not_public`, or `port`
        (only the port is in the way).
    """
    if "%" in address:
        return "scoped"
    try:
        literal = ip_address(address)
    except ValueError:
        return "not_an_address"
    target = _wrapped_v4(literal) or literal
    if any(literal in network or target in network for network in policy.allowed_networks):
        return None
    return _range_refusal(target) or (None if port in usual_ports(policy) else "port")


def _range_refusal(target: IPv4Address | IPv6Address) -> str | None:
    table = _REFUSED_V4 if isinstance(target, IPv4Address) else _REFUSED_V6
    for word, network in table:
        if target in network:
            return word
    if isinstance(target, IPv6Address) and target not in _GLOBAL_UNICAST_V6:
        return "not_public"
    return None if target.is_global and not target.is_multicast else "not_public"


def _wrapped_v4(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def usual_ports(policy: EgressPolicy) -> tuple[int, ...]:
    """List the ports that may be dialled on public addresses."""
    return (HTTPS_PORT, HTTP_PORT) if policy.allow_http else (HTTPS_PORT,)
