"""The table of simple subject identifier formats: members, and what makes two the same.

One row per format. `comparable` turns an identifier that has its members right into the object
compared; the canonical form of a subject is that object's canonical JSON.

Sources: RFC 9493 §3.2, SSF 1.0 §3.4 (`jwt_id`, `saml_assertion_id`, `ip-addresses`), RFC 9967
§2.1 (`scim`). Rows that normalise do so by our decision, see `identifier_syntax`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from ssf.protocol import identifier_syntax as syntax
from ssf.protocol.errors import MalformedSubject
from ssf.protocol.json_values import quote, require_plain_json, require_text, type_name

MAX_TEXT_CHARS: Final = 4096
"""Longest string member of a subject identifier, in code points (our decision)."""

MAX_IDENTIFIERS: Final = 100
"""Most entries of `aliases.identifiers` and `ip-addresses`, members of `complex` (our decision)."""

MAX_PROPRIETARY_DEPTH: Final = 8
"""Levels of nesting accepted in an identifier of a format that we do not know (our decision)."""

COMPLEX: Final = "complex"
ALIASES: Final = "aliases"

OLD_FORMAT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "phone": "phone_number",
        "iss-sub": "iss_sub",
        "jwt-id": "jwt_id",
        "saml-assertion-id": "saml_assertion_id",
    }
)
"""Spellings of drafts and of RISC 2018, rewritten on input and never emitted."""

_FORMAT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/+-]{0,127}")

Comparable = Callable[[Mapping[str, Any], str], dict[str, Any]]
"""(identifier, field) -> the object compared, without `format`. Raises MalformedSubject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleFormat:
    """One identifier format.

    Attributes:
        name: The value of `format`.
        required: Members that must be there.
        optional: Further members that the format describes.
        open: Whether members beyond these are part of the format (`scim` attributes).
        comparable: Checks the members and makes the object compared.
    """

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    open: bool = False
    comparable: Comparable

    def describes(self, member: str) -> bool:
        """Say whether a member other than `format` belongs to this format."""
        return self.open or member in self.required or member in self.optional


def _texts(*members: str) -> Comparable:
    """Compare these string members exactly, case-sensitively, without URL normalising."""

    def comparable(identifier: Mapping[str, Any], field: str) -> dict[str, Any]:
        return {name: member_text(identifier, name, field) for name in members}

    return comparable


def _normalised(member: str, normalise: Callable[[str], str | None], expected: str) -> Comparable:
    """Compare one string member after normalising it; None from `normalise` is malformed."""

    def comparable(identifier: Mapping[str, Any], field: str) -> dict[str, Any]:
        form = normalise(member_text(identifier, member, field))
        if form is None:
            raise MalformedSubject(f"must be {expected}", field=f"{field}.{member}")
        return {member: form}

    return comparable


def _ip_addresses(identifier: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Compare the addresses as a set: SSF 1.0 says nothing of order or repetition."""
    field = f"{field}.ip-addresses"
    addresses = set()
    for index, text in enumerate(bounded_array(identifier["ip-addresses"], field)):
        at = f"{field}[{index}]"
        form = syntax.comparable_ip_address(
            require_text(text, at, MalformedSubject, max_chars=MAX_TEXT_CHARS)
        )
        if form is None:
            raise MalformedSubject("must be an IPv4 or IPv6 address (RFC 4001)", field=at)
        addresses.add(form)
    return {"ip-addresses": sorted(addresses)}


_SCIM_PATH = _normalised("uri", syntax.comparable_scim_path, "a path that starts with '/'")


def _scim(identifier: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Compare by path; the other members are hints about the same resource (RFC 9967 §2.1)."""
    for name in ("externalId", "id"):
        if name in identifier:
            member_text(identifier, name, field)
    require_plain_json(identifier, field, MalformedSubject, max_depth=MAX_PROPRIETARY_DEPTH)
    return _SCIM_PATH(identifier, field)


_FORMATS = (
    SimpleFormat(
        name="account",
        required=("uri",),
        comparable=_normalised(
            "uri", syntax.comparable_account, "an acct: URI such as acct:user@example.com"
        ),
    ),
    SimpleFormat(
        name="email",
        required=("email",),
        comparable=_normalised(
            "email", syntax.comparable_email, "an e-mail address (RFC 5322 addr-spec)"
        ),
    ),
    # RFC 7519 wants a StringOrURI here: a value with a colon must be a URI. Real `sub` values
    # break that, and refusing them protects nobody, so any text passes (our decision).
    SimpleFormat(name="iss_sub", required=("iss", "sub"), comparable=_texts("iss", "sub")),
    SimpleFormat(name="opaque", required=("id",), comparable=_texts("id")),
    SimpleFormat(
        name="phone_number",
        required=("phone_number",),
        comparable=_normalised(
            "phone_number", syntax.comparable_phone_number, "an E.164 number such as +12065550100"
        ),
    ),
    SimpleFormat(
        name="did",
        required=("url",),
        comparable=_normalised("url", syntax.comparable_did_url, "a DID or DID URL"),
    ),
    SimpleFormat(
        name="uri",
        required=("uri",),
        comparable=_normalised("uri", syntax.comparable_uri, "an absolute URI (RFC 3986)"),
    ),
    SimpleFormat(name="jwt_id", required=("iss", "jti"), comparable=_texts("iss", "jti")),
    SimpleFormat(
        name="saml_assertion_id",
        required=("issuer", "assertion_id"),
        comparable=_texts("issuer", "assertion_id"),
    ),
    SimpleFormat(name="ip-addresses", required=("ip-addresses",), comparable=_ip_addresses),
    SimpleFormat(
        name="scim",
        required=("uri",),
        optional=("externalId", "id"),
        open=True,
        comparable=_scim,
    ),
)

SIMPLE_FORMATS: Final[Mapping[str, SimpleFormat]] = MappingProxyType(
    {row.name: row for row in _FORMATS}
)
"""Formats of one level, by name. `aliases` and `complex` hold others: see `subjects`."""

FORMAT_NAMES: Final = frozenset({*SIMPLE_FORMATS, ALIASES, COMPLEX})
"""Every format name that we know, in today's spelling."""


def require_format_name(value: object, field: str) -> str:
    """Return the value of `format` in today's spelling.

    Raises:
        MalformedSubject: Not a string, or not 1 to 128 of `A-Za-z0-9._~:/+-` (our decision:
            the name becomes part of keys, paths and metrics).
    """
    if not isinstance(value, str):
        raise MalformedSubject(f"must be a string, not {type_name(value)}", field=field)
    if not _FORMAT_NAME.fullmatch(value):
        raise MalformedSubject(f"{quote(value)} is no format name", field=field)
    return OLD_FORMAT_NAMES.get(value, value)


def member_text(identifier: Mapping[str, Any], name: str, field: str) -> str:
    """Return a string member of an identifier: non-empty, bounded, without control characters.

    Raises:
        MalformedSubject: The member is missing or anything else.
    """
    return require_text(
        identifier.get(name), f"{field}.{name}", MalformedSubject, max_chars=MAX_TEXT_CHARS
    )


def bounded_array(value: object, field: str) -> list[Any] | tuple[Any, ...]:
    """Return an array of 1 to `MAX_IDENTIFIERS` entries.

    Raises:
        MalformedSubject: No array, an empty one, or a longer one.
    """
    if not isinstance(value, list | tuple):
        raise MalformedSubject(f"must be an array, not {type_name(value)}", field=field)
    if not 1 <= len(value) <= MAX_IDENTIFIERS:
        raise MalformedSubject(
            f"must have 1 to {MAX_IDENTIFIERS} entries, not {len(value)}", field=field
        )
    return value


# Built once: json.dumps would build an encoder for every subject.
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)


def canonical_json(value: object) -> str:
    """Write JSON one way only: members sorted, no white space, ASCII, `1.0` as `1`.

    Args:
        value: JSON of bounded depth with finite numbers.
    """
    return _CANONICAL.encode(_one_number_form(value))


def _one_number_form(value: Any) -> Any:
    """JSON has one kind of number, Python two that print differently."""
    if isinstance(value, Mapping):
        return {name: _one_number_form(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_one_number_form(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
