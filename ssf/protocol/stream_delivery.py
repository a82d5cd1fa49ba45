"""The `delivery` object of a stream: how its events travel.

Sources: SSF 1.0 §6.1; the names and method URIs of SSE 1.0 implementer's draft 1 and of RISC 2018
are understood beside today's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from ssf.protocol.errors import MalformedStreamConfiguration
from ssf.protocol.json_values import quote, require_object, require_text, type_name

MAX_ENDPOINT_URL_CHARS: Final = 2048
MAX_AUTHORIZATION_HEADER_CHARS: Final = 4096

# What fits in one header value (RFC 9110 §5.5), ASCII only: no line break can end the header, and
# no blank is lost at either end, since it must be sent exactly as given (SSF 1.0 §6.1.1).
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")


class DeliveryMethod(StrEnum):
    """How SETs reach the receiver (SSF 1.0 §6.1)."""

    PUSH = "urn:ietf:rfc:8935"
    POLL = "urn:ietf:rfc:8936"


LEGACY_METHOD_URIS: Final[Mapping[DeliveryMethod, str]] = MappingProxyType(
    {
        DeliveryMethod.PUSH: "https://schemas.openid.net/secevent/risc/delivery-method/push",
        DeliveryMethod.POLL: "https://schemas.openid.net/secevent/risc/delivery-method/poll",
    }
)
"""Method to its URI of before June 2023, shown by the older profile."""

METHODS_BY_LEGACY_URI: Final[Mapping[str, DeliveryMethod]] = MappingProxyType(
    {uri: method for method, uri in LEGACY_METHOD_URIS.items()}
)
"""The same the other way round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedDelivery:
    """What a receiver asked for.

    Attributes:
        method: Push or poll.
        endpoint_url: Push: where to POST; checked for type and length only, not for policy.
            Poll: what the receiver sent, to be compared with the stream's own URL; None when
            it sent none.
        authorization_header: Push: the exact `Authorization` value of every request; None for
            none. Poll: always None. Secret, so not in the repr.
    """

    method: DeliveryMethod
    endpoint_url: str | None
    authorization_header: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a stream delivers, as shown to its owner.

    Attributes:
        method: Push or poll.
        endpoint_url: Where; None only for a poll stream that is not served.
        authorization_header: Push: shown to the owning receiver alone, whose next replacing
            update would otherwise delete it; None for none. Secret, so not in the repr.
    """

    method: DeliveryMethod
    endpoint_url: str | None
    authorization_header: str | None = field(default=None, repr=False)

    def to_wire(self, *, legacy_method_uris: bool = False) -> dict[str, Any]:
        """Return the JSON object.

        Args:
            legacy_method_uris: Whether `method` is written as before June 2023.
        """
        method = LEGACY_METHOD_URIS[self.method] if legacy_method_uris else self.method.value
        wire: dict[str, Any] = {"method": method}
        if self.endpoint_url is not None:
            wire["endpoint_url"] = self.endpoint_url
        if self.authorization_header is not None:
            wire["authorization_header"] = self.authorization_header
        return wire


def parse_delivery(
    value: object, *, field: str = "delivery", legacy_names: bool = False
) -> RequestedDelivery:
    """Read the `delivery` that a receiver sent. Both families of method URIs are understood.

    A null `endpoint_url` (poll) or `authorization_header` counts as absent, since clients echo
    their whole model; unknown members are ignored.

    Args:
        value: Decoded JSON.
        field: Path of the value, for errors.
        legacy_names: Whether `delivery_method` and `url` are understood too, as in the examples
            of implementer's draft 1. A value under both names must be the same.

    Raises:
        MalformedStreamConfiguration: Never quoting the authorization header.
    """
    members = require_object(value, field, MalformedStreamConfiguration)
    method = _method(members, field, legacy_names=legacy_names)
    endpoint_url = _endpoint_url(members, field, legacy_names=legacy_names)
    authorization_header = _authorization_header(members, field)
    if method is DeliveryMethod.POLL and authorization_header is not None:
        raise MalformedStreamConfiguration(
            "belongs to push delivery only", field=f"{field}.authorization_header"
        )
    if method is DeliveryMethod.PUSH and endpoint_url is None:
        raise MalformedStreamConfiguration(
            "is required for push delivery", field=f"{field}.endpoint_url"
        )
    return RequestedDelivery(
        method=method, endpoint_url=endpoint_url, authorization_header=authorization_header
    )


def _method(members: Mapping[str, Any], at: str, *, legacy_names: bool) -> DeliveryMethod:
    methods = {
        name: _known_method(members[name], f"{at}.{name}")
        for name in (("method", "delivery_method") if legacy_names else ("method",))
        if name in members
    }
    if not methods:
        raise MalformedStreamConfiguration("is required", field=f"{at}.method")
    if len(set(methods.values())) > 1:
        raise MalformedStreamConfiguration("contradicts method", field=f"{at}.delivery_method")
    return next(iter(methods.values()))


def _known_method(value: object, at: str) -> DeliveryMethod:
    if not isinstance(value, str):
        raise MalformedStreamConfiguration(f"must be a string, not {type_name(value)}", field=at)
    if value in METHODS_BY_LEGACY_URI:
        return METHODS_BY_LEGACY_URI[value]
    try:
        return DeliveryMethod(value)
    except ValueError:
        raise MalformedStreamConfiguration(
            f"must be {DeliveryMethod.PUSH} or {DeliveryMethod.POLL}, not {quote(value)}", field=at
        ) from None


def _endpoint_url(members: Mapping[str, Any], at: str, *, legacy_names: bool) -> str | None:
    urls = [
        require_text(
            members[name],
            f"{at}.{name}",
            MalformedStreamConfiguration,
            max_chars=MAX_ENDPOINT_URL_CHARS,
        )
        for name in (("endpoint_url", "url") if legacy_names else ("endpoint_url",))
        if members.get(name) is not None
    ]
    if len(set(urls)) > 1:
        raise MalformedStreamConfiguration("contradicts endpoint_url", field=f"{at}.url")
    return urls[0] if urls else None


def _authorization_header(members: Mapping[str, Any], at: str) -> str | None:
    value = members.get("authorization_header")
    if value is None:
        return None
    at = f"{at}.authorization_header"
    if not isinstance(value, str):
        raise MalformedStreamConfiguration(f"must be a string, not {type_name(value)}", field=at)
    if len(value) > MAX_AUTHORIZATION_HEADER_CHARS:
        raise MalformedStreamConfiguration(
            f"must have at most {MAX_AUTHORIZATION_HEADER_CHARS} characters", field=at
        )
    if not _HEADER_VALUE.fullmatch(value):
        raise MalformedStreamConfiguration(
            "must be a header value: visible ASCII, blanks and tabs only inside", field=at
        )
    return value
