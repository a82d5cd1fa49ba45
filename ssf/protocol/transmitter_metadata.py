"""The transmitter's metadata document and the issuer URL that it is found by (SSF 1.0 §7)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from ssf.protocol.errors import MalformedMetadata
from ssf.protocol.json_values import quote, require_object, require_text

SPEC_VERSION: Final = "1_0"
"""`spec_version` of SSF 1.0 final."""

OLDEST_SPEC_VERSION: Final = "1_0-ID1"
"""What a document without `spec_version` conforms to (SSF 1.0 §7.1)."""

OAUTH_SPEC_URN: Final = "urn:ietf:rfc:6749"
"""`spec_urn` of OAuth 2.0, for `authorization_schemes`."""

MAX_ISSUER_CHARS: Final = 2048
_MAX_ENTRIES: Final = 1000
_MAX_MEMBER_NAME_CHARS: Final = 256

_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransmitterMetadata:
    """The document at `/.well-known/ssf-configuration`.

    Attributes:
        issuer: Identical to the `iss` of streams and SETs.
        spec_version: `1_0`, drafts `1_0-ID1` and so on; None leaves it out.
        jwks_uri: Where the public keys are; None when SETs are not signed.
        delivery_methods_supported: Method URIs.
        configuration_endpoint: URL; None means that it is not offered. So for the four below.
        status_endpoint: URL or None.
        add_subject_endpoint: URL or None.
        remove_subject_endpoint: URL or None.
        verification_endpoint: URL or None.
        critical_subject_members: Members of a complex subject that a receiver must understand.
        authorization_schemes: The `spec_urn` of each scheme, such as `urn:ietf:rfc:6749`.
        default_subjects: Whether a new stream begins with all subjects or none; None leaves it
            unsaid.
    """

    issuer: str
    spec_version: str | None = SPEC_VERSION
    jwks_uri: str | None = None
    delivery_methods_supported: tuple[str, ...] = ()
    configuration_endpoint: str | None = None
    status_endpoint: str | None = None
    add_subject_endpoint: str | None = None
    remove_subject_endpoint: str | None = None
    verification_endpoint: str | None = None
    critical_subject_members: tuple[str, ...] = ()
    authorization_schemes: tuple[str, ...] = ()
    default_subjects: Literal["ALL", "NONE"] | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the JSON object. What is None and arrays without elements are left out."""
        document: dict[str, Any] = {}
        for attribute in fields(self):
            value = getattr(self, attribute.name)
            if attribute.name == "authorization_schemes":
                value = tuple({"spec_urn": urn} for urn in value)
            if value is None or value == ():
                continue
            document[attribute.name] = list(value) if isinstance(value, tuple) else value
        return document

    @classmethod
    def from_document(cls, document: object, *, expected_issuer: str) -> Self:
        """Read another transmitter's document.

        Args:
            document: Decoded JSON; unknown members are ignored.
            expected_issuer: The issuer URL that the document was asked for.

        Raises:
            MalformedMetadata: It is malformed, or about another issuer; then nothing in it may
                be used (SSF 1.0 §7.2.3).
        """
        members = require_object(document, "metadata", MalformedMetadata)
        if members.get("issuer") != expected_issuer:
            raise MalformedMetadata("is not the issuer that was asked for", field="issuer")
        default_subjects = members.get("default_subjects")
        return cls(
            issuer=expected_issuer,
            spec_version=_text(members, "spec_version") or OLDEST_SPEC_VERSION,
            jwks_uri=_text(members, "jwks_uri"),
            delivery_methods_supported=_texts(members, "delivery_methods_supported"),
            configuration_endpoint=_text(members, "configuration_endpoint"),
            status_endpoint=_text(members, "status_endpoint"),
            add_subject_endpoint=_text(members, "add_subject_endpoint"),
            remove_subject_endpoint=_text(members, "remove_subject_endpoint"),
            verification_endpoint=_text(members, "verification_endpoint"),
            critical_subject_members=_texts(members, "critical_subject_members"),
            authorization_schemes=_spec_urns(members),
            # Another word is no reason to abort: unsaid, the receiver adds what it wants.
            default_subjects=default_subjects if default_subjects in ("ALL", "NONE") else None,
        )


def parse_issuer(value: object, *, allow_http: bool) -> str:
    """Check an issuer URL and return it unchanged, since it is compared byte by byte.

    Args:
        value: An absolute URL with a host and perhaps a path.
        allow_http: Whether `http` will do beside `https`: development only.

    Raises:
        MalformedMetadata: It has another scheme, a query, a fragment or a user, no host, or a
            path with `.` or `..` segments, which clients would resolve.
    """
    issuer = require_text(value, "issuer", MalformedMetadata, max_chars=MAX_ISSUER_CHARS)
    if "?" in issuer or "#" in issuer:
        raise MalformedMetadata("must have neither query nor fragment", field="issuer")
    try:
        parts = urlsplit(issuer)
        port = parts.port
    except ValueError:
        raise MalformedMetadata("must be a URL", field="issuer") from None
    accepted = ("https", "http") if allow_http else ("https",)
    if not issuer.startswith(tuple(f"{scheme}://" for scheme in accepted)):
        raise MalformedMetadata(f"must be an {' or '.join(accepted)} URL", field="issuer")
    if "@" in parts.netloc:
        raise MalformedMetadata("must not name a user", field="issuer")
    host = parts.netloc.removesuffix(f":{port}")
    if not _HOST.fullmatch(host) or port == 0:
        raise MalformedMetadata("must have a host, and a port of 1 to 65535 if any", field="issuer")
    if not _PATH.fullmatch(parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise MalformedMetadata("must have a plain path", field="issuer")
    return issuer


def parse_critical_subject_members(text: str) -> tuple[str, ...]:
    """Read the names of members of complex subjects that a receiver must understand.

    Args:
        text: Names separated by commas, each of 1 to 256 printable characters; white space around
            a name does not count. Empty for none.

    Returns:
        Each name once, in the order given.

    Raises:
        MalformedMetadata: A name is empty, too long, unprintable, or `format`, which is no member.
    """
    if not text.strip():
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if not 1 <= len(name) <= _MAX_MEMBER_NAME_CHARS or not name.isprintable():
            raise MalformedMetadata(
                f"must be names of 1 to {_MAX_MEMBER_NAME_CHARS} printable characters, separated "
                f"by commas; {quote(name)} is none",
                field="critical_subject_members",
            )
        if name == "format":
            raise MalformedMetadata(
                "must not name format, which is no member of a subject",
                field="critical_subject_members",
            )
    if len(names) > _MAX_ENTRIES:
        raise MalformedMetadata(
            f"must be at most {_MAX_ENTRIES} names", field="critical_subject_members"
        )
    return names


def well_known_path(issuer: str, name: str = "ssf-configuration") -> str:
    """Return the path at which an issuer's document is served.

    `https://h` gives `/.well-known/ssf-configuration`; `https://h/a/b` and `https://h/a/b/` give
    `/.well-known/ssf-configuration/a/b`.

    Args:
        issuer: An issuer URL that passed `parse_issuer`.
        name: The well-known name; `sse-configuration` and `risc-configuration` are older ones.

    Source: SSF 1.0 §7.2.1.
    """
    return f"/.well-known/{name}{urlsplit(issuer).path.removesuffix('/')}"


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    return require_text(value, name, MalformedMetadata, max_chars=MAX_ISSUER_CHARS)


def _array(members: Mapping[str, Any], name: str) -> list[Any]:
    value = members.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _MAX_ENTRIES:
        raise MalformedMetadata(f"must be an array of at most {_MAX_ENTRIES} entries", field=name)
    return value


def _texts(members: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(
        require_text(entry, f"{name}[{index}]", MalformedMetadata, max_chars=MAX_ISSUER_CHARS)
        for index, entry in enumerate(_array(members, name))
    )


def _spec_urns(members: Mapping[str, Any]) -> tuple[str, ...]:
    urns = []
    for index, scheme in enumerate(_array(members, "authorization_schemes")):
        at = f"authorization_schemes[{index}]"
        urn = require_object(scheme, at, MalformedMetadata).get("spec_urn")
        urns.append(
            require_text(urn, f"{at}.spec_urn", MalformedMetadata, max_chars=MAX_ISSUER_CHARS)
        )
    return tuple(urns)
