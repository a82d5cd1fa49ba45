"""The texts inside subject identifiers: what is well-formed, and the form compared.

Each function takes the text as it was sent and returns the form under which two texts count as
the same, or None when the text is malformed. RFC 9493 leaves canonicalisation to the recipient
of an identifier, so the forms below are our decision: only what the syntax itself calls
equivalent, never a guess about somebody else's mail server or directory.
"""

import ipaddress
import re
from typing import Final

# RFC 3986 §2 and Appendix A. Square brackets are let through in the authority only.
_PCT = r"%[0-9A-Fa-f]{2}"
_PCHAR = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_PCT})"
_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):"
    rf"(?://(?:(?P<userinfo>(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_PCT})*)@)?"
    rf"(?P<host>\[[0-9A-Za-z:._~!$&'()*+,;=-]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_PCT})*)"
    r"(?::(?P<port>[0-9]*))?(?=[/?#]|\Z)|(?!//))"
    rf"(?P<rest>(?:{_PCHAR}|/)*(?:\?(?:{_PCHAR}|[/?])*)?(?:\#(?:{_PCHAR}|[/?])*)?)"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}

# RFC 7565 §7: the user part starts with an unencoded character.
_ACCOUNT = re.compile(
    rf"[Aa][Cc][Cc][Tt]:(?P<user>[A-Za-z0-9._~!$&'()*+,;=-](?:[A-Za-z0-9._~!$&'()*+,;=-]|{_PCT})*)"
    r"@(?P<host>[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])"
)
_ENCODED_UNRESERVED = re.compile(
    "%(2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
)

# W3C DID Core §3.1 and §3.2.
_DID_URL = re.compile(
    rf"did:[a-z0-9]+:(?:(?:[A-Za-z0-9._-]|{_PCT})*:)*(?:[A-Za-z0-9._-]|{_PCT})+"
    rf"(?:/{_PCHAR}*)*(?:\?(?:{_PCHAR}|[/?])*)?(?:\#(?:{_PCHAR}|[/?])*)?"
)

# RFC 5322 §3.4.1 without comments and folding; RFC 6531 lets atoms hold non-ASCII characters.
_DOT_ATOM = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a0-\U0010ffff-]+"
    r"(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a0-\U0010ffff-]+)*"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\[ -~])*"')
_DOMAIN_LITERAL = re.compile(r"\[[!-Z^-~]+\]")
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_EMAIL_CHARS: Final = 320
_MAX_DOMAIN_CHARS: Final = 253

_PHONE_SEPARATORS = str.maketrans("", "", " -().")
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")


def is_absolute_uri(text: str) -> bool:
    """Say whether text is a URI with a scheme, by the grammar of RFC 3986."""
    return _URI.fullmatch(text) is not None


def comparable_uri(text: str) -> str | None:
    """Return a URI with scheme and host in lower case and without a default port.

    Everything else stays: `%7E` and `~`, or `/a/../b` and `/b`, are different subjects.

    Returns:
        The comparable form, or None when the text is no URI of RFC 3986.
    """
    match = _URI.fullmatch(text)
    if match is None:
        return None
    scheme, host = match["scheme"].lower(), match["host"]
    if host is None:
        return f"{scheme}:{match['rest']}"
    userinfo = "" if match["userinfo"] is None else f"{match['userinfo']}@"
    port = (match["port"] or "").lstrip("0") or ("0" if match["port"] else "")
    suffix = "" if port in ("", str(_DEFAULT_PORTS.get(scheme))) else f":{port}"
    return f"{scheme}://{userinfo}{host.lower()}{suffix}{match['rest']}"


def comparable_account(text: str) -> str | None:
    """Return an `acct:` URI with scheme and host in lower case (RFC 7565).

    The user part is compared exactly, after decoding what needed no encoding: `%61` is `a`.

    Returns:
        The comparable form, or None when the text is no `acct:user@host`.
    """
    match = _ACCOUNT.fullmatch(text)
    if match is None:
        return None
    user = _ENCODED_UNRESERVED.sub(lambda code: chr(int(code[1], 16)), match["user"])
    return f"acct:{user}@{match['host'].lower()}"


def comparable_email(text: str) -> str | None:
    """Return an address with its domain in lower case and as A-labels (RFC 5322, RFC 5890).

    The local part is compared exactly: only its own mail system knows whether `Jane` is `jane`.

    Returns:
        The comparable form, or None when the text is no addr-spec.
    """
    local, at, domain = text.rpartition("@")
    if not at or len(text) > _MAX_EMAIL_CHARS:
        return None
    if not (_DOT_ATOM.fullmatch(local) or _QUOTED.fullmatch(local)):
        return None
    comparable = _comparable_domain(domain)
    return None if comparable is None else f"{local}@{comparable}"


def _comparable_domain(domain: str) -> str | None:
    if _DOMAIN_LITERAL.fullmatch(domain):
        return domain.lower()
    if len(domain) > _MAX_DOMAIN_CHARS:  # before the codec, whose cost grows faster than the text
        return None
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    domain = domain.lower()
    return domain if _DOMAIN.fullmatch(domain) and len(domain) <= _MAX_DOMAIN_CHARS else None


def comparable_phone_number(text: str) -> str | None:
    """Return an E.164 number without the separators people write: spaces, `-`, `(`, `)`, `.`.

    Returns:
        `+` and 2 to 15 digits, or None when the text is no international number.
    """
    number = text.translate(_PHONE_SEPARATORS)
    return number if _E164.fullmatch(number) else None


def comparable_did_url(text: str) -> str | None:
    """Return a DID URL unchanged, a bare DID included, or None when it is none."""
    return text if _DID_URL.fullmatch(text) else None


def comparable_ip_address(text: str) -> str | None:
    """Return an IPv4 or IPv6 address in its compressed form (RFC 5952), or None.

    An IPv4-mapped IPv6 address stays IPv6. It is written out here because Python changed how it
    prints one in 3.13, and stored comparison forms must outlive an interpreter.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        high, low = divmod(int(address.ipv4_mapped), 0x10000)
        zone = "" if address.scope_id is None else f"%{address.scope_id}"
        return f"::ffff:{high:x}:{low:x}{zone}"
    return address.compressed


def comparable_scim_path(text: str) -> str | None:
    """Return a resource path relative to the SCIM base unchanged, or None (RFC 9967 §2.1)."""
    return text if text.startswith("/") and len(text) > 1 else None
