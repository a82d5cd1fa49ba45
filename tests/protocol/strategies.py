"""What hypothesis feeds to the parsers: hostile JSON, and identifiers that are valid."""

from typing import Any

from hypothesis import strategies as st

MEMBER_NAMES = [
    "format", "subject_type", "email", "iss", "sub", "id", "uri", "url", "phone_number",
    "identifiers", "ip-addresses", "user", "device", "jti", "issuer", "assertion_id",
    "iat", "exp", "aud", "events", "sub_id", "txn", "toe", "subject", "method", "endpoint_url",
    "authorization_header", "delivery_method", "state", "status", "claims", "event_timestamp",
    "reason_admin", "amr", "credential_type", "change_type", "err", "description", "spec_urn",
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
]  # fmt: skip

_WORDS = [
    "email", "complex", "aliases", "opaque", "iss_sub", "ip-addresses", "uri", "scim", "did",
    "phone", "account", "phone_number", "jwt-id", "u@example.com", "https://h", "https://[::1",
    "urn:ietf:rfc:8935", "urn:ietf:rfc:8936", "10.0.0.1", "+12065550100", "acct:a@b", "a@\u00e4.b",
    "did:a:b", "enabled", "\ud800", "\x00", "", "x" * 5000, "a@" + "x." * 200, "%", "HIGH",
]  # fmt: skip

json_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(2**70), 2**63, 10**12])
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(st.characters(exclude_categories=[]), max_size=30)
    | st.sampled_from(_WORDS)
)

json_values: st.SearchStrategy[Any] = st.recursive(
    json_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(MEMBER_NAMES) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
"""Any JSON that Python decodes, shaped so that it comes near to what is accepted."""

plain_texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)

_labels = st.from_regex("[a-z0-9]{1,10}", fullmatch=True)
_domains = st.lists(_labels, min_size=1, max_size=3).map(".".join)


def _identifier(name: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"format": st.just(name), **members})


simple_identifiers = st.one_of(
    _identifier(
        "email", email=st.builds("{}@{}".format, st.from_regex("[a-zA-Z0-9]{1,8}", fullmatch=True), _domains)
    ),
    _identifier("iss_sub", iss=plain_texts, sub=plain_texts),
    _identifier("opaque", id=plain_texts),
    _identifier("phone_number", phone_number=st.from_regex(r"\+[1-9][0-9]{1,14}", fullmatch=True)),
    _identifier("jwt_id", iss=plain_texts, jti=plain_texts),
    _identifier("saml_assertion_id", issuer=plain_texts, assertion_id=plain_texts),
    _identifier("uri", uri=st.builds("https://{}/{}".format, _domains, _labels)),
    _identifier("account", uri=st.builds("acct:{}@{}".format, _labels, _domains)),
    _identifier("did", url=st.builds("did:example:{}".format, _labels)),
    _identifier(
        "ip-addresses",
        **{"ip-addresses": st.lists(st.ip_addresses().map(str), min_size=1, max_size=4)},
    ),
    _identifier("scim", uri=_labels.map("/Users/{}".format)),
    _identifier("catalog_item", catalog=plain_texts | st.integers(-(2**60), 2**60)),
)  # fmt: skip

aliases = _identifier("aliases", identifiers=st.lists(simple_identifiers, min_size=1, max_size=4))

complex_subjects = st.builds(
    lambda members: {"format": "complex", **members},
    st.dictionaries(
        st.sampled_from(["user", "device", "session", "tenant", "group", "custom"]),
        simple_identifiers | aliases,
        min_size=1,
        max_size=4,
    ),
)

identifiers: st.SearchStrategy[dict[str, Any]] = simple_identifiers | aliases | complex_subjects
"""Valid identifiers of every format in today's spelling."""
