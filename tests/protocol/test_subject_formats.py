"""Subject identifier formats, row by row: RFC 9493 §3.2, SSF 1.0 §3.4, RFC 9967 §2.1."""

from typing import Any

import pytest

from ssf.protocol.errors import MalformedSubject
from ssf.protocol.subjects import Subject, parse_subject
from tests.protocol.vectors import load_vectors

SPEC_EXAMPLES = [
    *load_vectors("rfc9493_subject_identifiers"),
    *load_vectors("ssf_1_0_subject_identifiers"),
]


def subject(name: str, **members: Any) -> Subject:
    return parse_subject({"format": name, **members})


@pytest.mark.parametrize("vector", SPEC_EXAMPLES, ids=lambda vector: vector["name"])
def test_every_example_of_the_specifications_is_accepted_as_it_is(vector):
    assert parse_subject(vector["identifier"]).identifier == vector["identifier"]


@pytest.mark.parametrize(
    "vector",
    [vector for vector in SPEC_EXAMPLES if "written_as" in vector],
    ids=lambda vector: vector["name"],
)
def test_the_spelling_of_a_draft_becomes_the_final_one(vector):
    assert parse_subject(vector["written_as"]) == parse_subject(vector["identifier"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            {"format": "account", "uri": "ACCT:Jane%2Edoe@EXAMPLE.com"},
            {"format": "account", "uri": "acct:Jane.doe@example.com"},
            id="account: scheme and host in any case, needless encoding",
        ),
        pytest.param(
            {"format": "email", "email": "Jane@EXAMPLE.com"},
            {"format": "email", "email": "Jane@example.com"},
            id="email: domain in any case",
        ),
        pytest.param(
            {"format": "email", "email": "jane@M\u00fcnchen.example"},
            {"format": "email", "email": "jane@xn--mnchen-3ya.example"},
            id="email: domain as U-label or A-label",
        ),
        pytest.param(
            {"format": "phone_number", "phone_number": "+1 (206) 555-01.00"},
            {"format": "phone_number", "phone_number": "+12065550100"},
            id="phone_number: separators",
        ),
        pytest.param(
            {"format": "uri", "uri": "HTTPS://Example.COM:443/a?b#c"},
            {"format": "uri", "uri": "https://example.com/a?b#c"},
            id="uri: scheme and host in any case, default port",
        ),
        pytest.param(
            {"format": "uri", "uri": "http://u@example.com:/"},
            {"format": "uri", "uri": "http://u@EXAMPLE.com:80/"},
            id="uri: empty port",
        ),
        pytest.param(
            {"format": "ip-addresses", "ip-addresses": ["::1", "10.0.0.1", "::1"]},
            {"format": "ip-addresses", "ip-addresses": ["10.0.0.1", "0:0:0:0:0:0:0:1"]},
            id="ip-addresses: a set of addresses",
        ),
        pytest.param(
            {"format": "ip-addresses", "ip-addresses": ["::ffff:1.2.3.4"]},
            {"format": "ip-addresses", "ip-addresses": ["::FFFF:0102:0304"]},
            id="ip-addresses: mapped IPv4 in either notation",
        ),
        pytest.param(
            {"format": "aliases", "identifiers": [{"format": "opaque", "id": "1"}, {"format": "opaque", "id": "2"}]},
            {"format": "aliases", "identifiers": [{"format": "opaque", "id": "2"}, {"format": "opaque", "id": "1"}, {"format": "opaque", "id": "1"}]},
            id="aliases: order and repetition",
        ),
        pytest.param(
            {"format": "scim", "uri": "/Users/1", "externalId": "jdoe"},
            {"format": "scim", "uri": "/Users/1", "userName": "jane"},
            id="scim: by path only",
        ),
        pytest.param(
            {"format": "complex", "user": {"format": "email", "email": "a@B.example"}, "device": {"format": "opaque", "id": "d"}},
            {"device": {"id": "d", "format": "opaque"}, "user": {"format": "email", "email": "a@b.example"}},
            id="complex: members normalised one by one",
        ),
        pytest.param(
            {"format": "catalog_item", "n": 1.0, "tags": ["a"]},
            {"format": "catalog_item", "tags": ["a"], "n": 1},
            id="proprietary: JSON equality",
        ),
    ],
)  # fmt: skip
def test_two_ways_to_write_a_subject_are_one_subject(first, second):
    assert parse_subject(first).canonical == parse_subject(second).canonical
    assert parse_subject(first).key == parse_subject(second).key


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            {"format": "account", "uri": "acct:Jane@example.com"},
            {"format": "account", "uri": "acct:jane@example.com"},
            id="account: user part in another case",
        ),
        pytest.param(
            {"format": "email", "email": "Jane@example.com"},
            {"format": "email", "email": "jane@example.com"},
            id="email: local part in another case",
        ),
        pytest.param(
            {"format": "email", "email": "jane+x@example.com"},
            {"format": "email", "email": "jane@example.com"},
            id="email: qualifier",
        ),
        pytest.param(
            {"format": "iss_sub", "iss": "https://i/", "sub": "1"},
            {"format": "iss_sub", "iss": "https://i", "sub": "1"},
            id="iss_sub: trailing slash",
        ),
        pytest.param(
            {"format": "opaque", "id": "A"}, {"format": "opaque", "id": "a"}, id="opaque: case"
        ),
        pytest.param(
            {"format": "did", "url": "did:example:1"},
            {"format": "did", "url": "did:example:1#k"},
            id="did: fragment",
        ),
        pytest.param(
            {"format": "uri", "uri": "https://h/A"},
            {"format": "uri", "uri": "https://h/a"},
            id="uri: path in another case",
        ),
        pytest.param(
            {"format": "uri", "uri": "https://h:8443/"},
            {"format": "uri", "uri": "https://h/"},
            id="uri: another port",
        ),
        pytest.param(
            {"format": "jwt_id", "iss": "i", "jti": "1"},
            {"format": "iss_sub", "iss": "i", "sub": "1"},
            id="jwt_id: another format",
        ),
        pytest.param(
            {"format": "saml_assertion_id", "issuer": "i", "assertion_id": "_A"},
            {"format": "saml_assertion_id", "issuer": "i", "assertion_id": "_a"},
            id="saml_assertion_id: case",
        ),
        pytest.param(
            {"format": "ip-addresses", "ip-addresses": ["::ffff:1.2.3.4"]},
            {"format": "ip-addresses", "ip-addresses": ["1.2.3.4"]},
            id="ip-addresses: mapped is not IPv4",
        ),
        pytest.param(
            {"format": "ip-addresses", "ip-addresses": ["1.2.3.4"]},
            {"format": "ip-addresses", "ip-addresses": ["1.2.3.4", "1.2.3.5"]},
            id="ip-addresses: a subset",
        ),
        pytest.param(
            {"format": "scim", "uri": "/Users/1"},
            {"format": "scim", "uri": "/users/1"},
            id="scim: path in another case",
        ),
        pytest.param(
            {"format": "catalog_item", "n": 1},
            {"format": "catalog_item", "n": True},
            id="proprietary: another JSON type",
        ),
    ],
)
def test_two_subjects_that_only_look_alike_stay_two(first, second):
    assert parse_subject(first).canonical != parse_subject(second).canonical


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize(
    ("identifier", "field"),
    [
        pytest.param({"format": "account", "uri": "mailto:u@h"}, "subject.uri", id="account: scheme"),
        pytest.param({"format": "account", "uri": "acct:u"}, "subject.uri", id="account: no host"),
        pytest.param({"format": "account"}, "subject.uri", id="account: missing"),
        pytest.param({"format": "email", "email": "nobody"}, "subject.email", id="email: no @"),
        pytest.param({"format": "email", "email": "a@b@c"}, "subject.email", id="email: two @"),
        pytest.param({"format": "email", "email": "a..b@c"}, "subject.email", id="email: dots"),
        pytest.param({"format": "email", "email": "a@b..c"}, "subject.email", id="email: labels"),
        pytest.param({"format": "email", "email": "a@c."}, "subject.email", id="email: last dot"),
        pytest.param({"format": "email", "email": "a b@c"}, "subject.email", id="email: blank"),
        pytest.param({"format": "email", "email": "a@-c"}, "subject.email", id="email: hyphen"),
        pytest.param({"format": "email", "email": "a@" + "x" * 64}, "subject.email", id="email: label"),
        pytest.param({"format": "email", "email": None}, "subject.email", id="email: null"),
        pytest.param({"format": "email", "email": ""}, "subject.email", id="email: empty"),
        pytest.param({"format": "email", "email": 7}, "subject.email", id="email: number"),
        pytest.param({"format": "iss_sub", "iss": "https://i"}, "subject.sub", id="iss_sub: no sub"),
        pytest.param({"format": "iss_sub", "iss": "", "sub": "1"}, "subject.iss", id="iss_sub: empty"),
        pytest.param({"format": "opaque", "id": "a\nb"}, "subject.id", id="opaque: line break"),
        pytest.param({"format": "opaque", "id": "a\x00"}, "subject.id", id="opaque: NUL"),
        pytest.param({"format": "opaque", "id": "\ud800"}, "subject.id", id="opaque: surrogate"),
        pytest.param({"format": "opaque", "id": ["a"]}, "subject.id", id="opaque: array"),
        pytest.param({"format": "phone_number", "phone_number": "2065550100"}, "subject.phone_number", id="phone_number: no +"),
        pytest.param({"format": "phone_number", "phone_number": "+0206555"}, "subject.phone_number", id="phone_number: leading 0"),
        pytest.param({"format": "phone_number", "phone_number": "+1234567890123456"}, "subject.phone_number", id="phone_number: 16 digits"),
        pytest.param({"format": "phone_number", "phone_number": "+1206555x1"}, "subject.phone_number", id="phone_number: letter"),
        pytest.param({"format": "did", "url": "did:example"}, "subject.url", id="did: no id"),
        pytest.param({"format": "did", "url": "DID:example:1"}, "subject.url", id="did: scheme in capitals"),
        pytest.param({"format": "uri", "uri": "/path"}, "subject.uri", id="uri: relative"),
        pytest.param({"format": "uri", "uri": "https://h/ x"}, "subject.uri", id="uri: blank"),
        pytest.param({"format": "uri", "uri": "https://h/%zz"}, "subject.uri", id="uri: bad encoding"),
        pytest.param({"format": "uri", "uri": "https://h:port/"}, "subject.uri", id="uri: bad port"),
        pytest.param({"format": "aliases", "identifiers": []}, "subject.identifiers", id="aliases: empty"),
        pytest.param({"format": "aliases"}, "subject.identifiers", id="aliases: missing"),
        pytest.param(
            {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [{"format": "opaque", "id": "1"}]}]},
            "subject.identifiers[0]", id="aliases: nested",
        ),
        pytest.param(
            {"format": "aliases", "identifiers": [{"user": {"format": "opaque", "id": "1"}}]},
            "subject.identifiers[0]", id="aliases: complex inside",
        ),
        pytest.param({"format": "jwt_id", "iss": "i"}, "subject.jti", id="jwt_id: no jti"),
        pytest.param({"format": "saml_assertion_id", "issuer": "i"}, "subject.assertion_id", id="saml_assertion_id: no id"),
        pytest.param({"format": "ip-addresses", "ip-addresses": []}, "subject.ip-addresses", id="ip-addresses: empty"),
        pytest.param({"format": "ip-addresses", "ip-addresses": ["10.0.0.256"]}, "subject.ip-addresses[0]", id="ip-addresses: no address"),
        pytest.param({"format": "ip-addresses", "ip-addresses": "10.0.0.1"}, "subject.ip-addresses", id="ip-addresses: string"),
        pytest.param({"format": "ip-addresses", "ip-addresses": [16909060]}, "subject.ip-addresses[0]", id="ip-addresses: number"),
        pytest.param({"format": "complex"}, "subject", id="complex: no member"),
        pytest.param(
            {"format": "complex", "user": {"format": "complex", "user": {"format": "opaque", "id": "1"}}},
            "subject.user", id="complex: nested",
        ),
        pytest.param(
            {"user": {"device": {"format": "opaque", "id": "1"}}}, "subject.user", id="complex: nested, draft spelling"
        ),
        pytest.param(
            {"format": "complex", "user": {"format": "email", "email": "x"}}, "subject.user.email", id="complex: bad member"
        ),
        pytest.param({"format": "scim", "uri": "Users/1"}, "subject.uri", id="scim: no leading slash"),
        pytest.param({"format": "scim", "uri": "/Users/1", "id": 1}, "subject.id", id="scim: id is a number"),
        pytest.param({"format": "x y"}, "subject.format", id="format: blank"),
        pytest.param({"format": "x" * 129}, "subject.format", id="format: long"),
        pytest.param({"format": None, "id": "1"}, "subject.format", id="format: null"),
        pytest.param({"format": 1}, "subject.format", id="format: number"),
        pytest.param({"id": "1"}, "subject.format", id="format: missing"),
        pytest.param({}, "subject.format", id="empty object"),
        pytest.param({"format": "mine", "n": float("nan")}, "subject", id="proprietary: NaN"),
        pytest.param({"format": "mine", "n": 2**63}, "subject", id="proprietary: beyond 64 bits"),
        pytest.param([], "subject", id="array"),
        pytest.param(None, "subject", id="null"),
        pytest.param("u@example.com", "subject", id="string"),
    ],
)  # fmt: skip
def test_a_malformed_identifier_is_refused_and_the_member_named(identifier, field, strict):
    with pytest.raises(MalformedSubject) as caught:
        parse_subject(identifier, strict=strict)
    assert caught.value.field == field
    assert caught.value.code == "invalid_subject"


@pytest.mark.parametrize(
    "email",
    ['"john doe"@example.com', "o'brien@example.com", "j\u00fcrgen@example.com", "root@localhost",
     "postmaster@[192.0.2.1]", "a@xn--mnchen-3ya.example"],
)  # fmt: skip
def test_an_unusual_but_legal_address_is_an_email(email):
    assert subject("email", email=email).identifier["email"] == email


@pytest.mark.parametrize(
    "email",
    [
        "a" * 310 + "@example.com",
        "a@" + "x." * 126 + "xx",
        "a@" + "\u00e4b." * 40 + "example",
        "a@\u00e4..example",
        "a@\u05d0b.example",
    ],
    ids=["local part", "domain", "domain once encoded", "empty label", "mixed directions"],
)
def test_an_address_beyond_what_mail_carries_is_refused(email):
    with pytest.raises(MalformedSubject):
        subject("email", email=email)


@pytest.mark.parametrize("uri", ["urn:x:y", "mailto:a@b", "file:///x", "https://[2001:db8::1]:8/"])
def test_any_scheme_is_a_uri(uri):
    assert subject("uri", uri=uri).format == "uri"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"format": "phone", "phone_number": "+12065550100"}, "phone_number"),
        ({"format": "iss-sub", "iss": "i", "sub": "s"}, "iss_sub"),
        ({"format": "jwt-id", "iss": "i", "jti": "j"}, "jwt_id"),
        ({"format": "saml-assertion-id", "issuer": "i", "assertion_id": "a"}, "saml_assertion_id"),
        ({"subject_type": "iss-sub", "iss": "i", "sub": "s"}, "iss_sub"),
        ({"subject_type": "email", "email": "u@h"}, "email"),
        ({"format": "email", "subject_type": "email", "email": "u@h"}, "email"),
        ({"user": {"subject_type": "phone", "phone_number": "+12065550100"}}, "complex"),
    ],
)
def test_an_old_spelling_is_rewritten_and_never_sent_on(old, new):
    parsed = parse_subject(old)
    assert parsed.format == parsed.identifier["format"] == new
    assert "subject_type" not in str(parsed.identifier)
    assert "-sub" not in str(parsed.identifier)
    assert "'phone'" not in str(parsed.identifier)


def test_format_and_subject_type_that_differ_are_refused():
    with pytest.raises(MalformedSubject, match="contradicts"):
        parse_subject({"format": "email", "subject_type": "opaque", "email": "u@h", "id": "1"})


@pytest.mark.parametrize(
    ("identifier", "kept"),
    [
        ({"format": "email", "email": "u@h", "name": "U"}, {"format": "email", "email": "u@h"}),
        (
            {"format": "aliases", "identifiers": [{"format": "opaque", "id": "1", "x": 1}], "y": 2},
            {"format": "aliases", "identifiers": [{"format": "opaque", "id": "1"}]},
        ),
        (
            {"format": "complex", "user": {"format": "opaque", "id": "1", "x": 1}, "y": "text"},
            {"format": "complex", "user": {"format": "opaque", "id": "1"}},
        ),
    ],
)
def test_an_undescribed_member_is_refused_strictly_and_ignored_leniently(identifier, kept):
    with pytest.raises(MalformedSubject):
        parse_subject(identifier)
    assert parse_subject(identifier, strict=False).identifier == kept
    assert parse_subject(identifier, strict=False) == parse_subject(kept)


def test_further_scim_attributes_belong_to_the_format():
    identifier = {"format": "scim", "uri": "/Users/1", "id": "1", "emails": [{"value": "u@h"}]}
    assert parse_subject(identifier).identifier == identifier


def test_a_complex_member_may_be_aliases():
    aliases = {"format": "aliases", "identifiers": [{"format": "opaque", "id": "1"}]}
    assert parse_subject({"format": "complex", "user": aliases}).identifier["user"] == aliases


@pytest.mark.parametrize("count", [100, 101])
def test_one_hundred_entries_are_the_limit(count):
    many = [{"format": "opaque", "id": str(n)} for n in range(count)]
    shapes: list[dict[str, Any]] = [
        {"format": "aliases", "identifiers": many},
        {"format": "complex", **{f"m{n}": one for n, one in enumerate(many)}},
        {"format": "ip-addresses", "ip-addresses": [f"10.0.0.{n}" for n in range(count)]},
        {"format": "mine", **{f"m{n}": n for n in range(count - 1)}},
    ]
    for shape in shapes:
        if count == 100:
            parse_subject(shape)
        else:
            with pytest.raises(MalformedSubject):
                parse_subject(shape)


def test_4096_characters_are_the_limit_of_a_string():
    assert subject("opaque", id="x" * 4096).key
    with pytest.raises(MalformedSubject, match="4096"):
        subject("opaque", id="x" * 4097)


def test_deep_nesting_in_a_private_format_is_refused_without_exhausting_the_stack():
    value: dict[str, Any] = {"format": "mine"}
    for _ in range(100_000):
        value = {"format": "mine", "inner": value}
    with pytest.raises(MalformedSubject, match="nested deeper"):
        parse_subject(value)


def test_an_error_shows_no_identifier_and_no_raw_control_character():
    with pytest.raises(MalformedSubject) as caught:
        parse_subject({"format": "complex", "us\x1b[31mer" + "x" * 9999: {"format": "opaque"}})
    assert str(caught.value).isprintable()
    assert len(caught.value.reason) <= 500
    with pytest.raises(MalformedSubject) as caught:
        subject("email", email="secret-person")
    assert "secret-person" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["user", "device", "session", "application", "tenant", "org_unit", "group"]
)
def test_a_defined_complex_member_that_is_no_identifier_is_never_dropped(name):
    """Without it the event would be about more than was meant: all sessions instead of one."""
    other = {"format": "opaque", "id": "1"}
    identifier = {"format": "complex", "tenant": other, "user": other, name: "no identifier"}
    with pytest.raises(MalformedSubject) as caught:
        parse_subject(identifier, strict=False)
    assert caught.value.field == f"subject.{name}"
