"""From the format that an event has to the one that a receiver wants (`subjects.md` §4)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.subject_conversion import FormatFallback, convert
from ssf.protocol.subject_formats import FORMAT_NAMES
from ssf.protocol.subjects import parse_subject
from tests.protocol.strategies import identifiers

DROP, AS_IS, PRIVATE = (
    FormatFallback.DROP,
    FormatFallback.SEND_AS_IS,
    FormatFallback.MOST_PRIVATE,
)

EMAIL = {"format": "email", "email": "user@example.com"}
OTHER_EMAIL = {"format": "email", "email": "u@example.org"}
ISS_SUB = {"format": "iss_sub", "iss": "https://idp.example", "sub": "42"}
OPAQUE = {"format": "opaque", "id": "dM1"}
PHONE = {"format": "phone_number", "phone_number": "+12065550100"}
SCIM = {"format": "scim", "uri": "/Users/42"}
ACCOUNT = {"format": "account", "uri": "acct:user@example.com"}
DID = {"format": "did", "url": "did:example:123"}
URI = {"format": "uri", "uri": "https://idp.example/users/42"}
JWT_ID = {"format": "jwt_id", "iss": "https://idp.example", "jti": "j1"}
SAML = {"format": "saml_assertion_id", "issuer": "https://idp.example", "assertion_id": "_8"}
ADDRESSES = {"format": "ip-addresses", "ip-addresses": ["10.0.0.1"]}
PRIVATE_FORMAT = {"format": "catalog_item", "catalog": "c", "item": 7}

FROM_LEAST_TO_MOST = (
    OPAQUE,
    ISS_SUB,
    JWT_ID,
    SAML,
    SCIM,
    URI,
    DID,
    ACCOUNT,
    PHONE,
    EMAIL,
    ADDRESSES,
    PRIVATE_FORMAT,
)


def aliases(*identifiers: dict[str, Any]) -> dict[str, Any]:
    return {"format": "aliases", "identifiers": list(identifiers)}


def complex_subject(**members: dict[str, Any]) -> dict[str, Any]:
    return {"format": "complex", **members}


# ------------------------------------------------------------------ each line of the rule


@pytest.mark.parametrize(
    ("case", "identifier", "want", "becomes"),
    [
        ("no wish: unchanged", EMAIL, None, EMAIL),
        ("no wish: aliases unchanged", aliases(EMAIL, OPAQUE), None, aliases(EMAIL, OPAQUE)),
        ("the format already", EMAIL, "email", EMAIL),
        ("aliases wanted and there", aliases(EMAIL, OPAQUE), "aliases", aliases(EMAIL, OPAQUE)),
        (
            "complex wanted and there",
            complex_subject(device=OPAQUE),
            "complex",
            complex_subject(device=OPAQUE),
        ),
        ("aliases: the one of the format", aliases(ISS_SUB, EMAIL, PHONE), "email", EMAIL),
        ("aliases: of two the first", aliases(OTHER_EMAIL, EMAIL), "email", OTHER_EMAIL),
        (
            "complex: its user",
            complex_subject(user=aliases(EMAIL, ISS_SUB)),
            "iss_sub",
            complex_subject(user=ISS_SUB),
        ),
        (
            "complex: not the others",
            complex_subject(device=SAML, user=aliases(EMAIL, ISS_SUB), tenant=OPAQUE),
            "iss_sub",
            complex_subject(device=SAML, user=ISS_SUB, tenant=OPAQUE),
        ),
        (
            "complex: another member only when it holds exactly that format",
            complex_subject(user=EMAIL, device=aliases(SAML, EMAIL), group=aliases(SAML, OPAQUE)),
            "email",
            complex_subject(user=EMAIL, device=EMAIL, group=aliases(SAML, OPAQUE)),
        ),
        (
            "complex: its user wrapped",
            complex_subject(user=EMAIL, device=OPAQUE),
            "aliases",
            complex_subject(user=aliases(EMAIL), device=OPAQUE),
        ),
        (
            "complex without a user: unchanged",
            complex_subject(device=OPAQUE),
            "email",
            complex_subject(device=OPAQUE),
        ),
        ("complex wanted: wrapped", EMAIL, "complex", complex_subject(user=EMAIL)),
        (
            "complex wanted: aliases wrapped",
            aliases(EMAIL, OPAQUE),
            "complex",
            complex_subject(user=aliases(EMAIL, OPAQUE)),
        ),
        ("aliases wanted: wrapped", EMAIL, "aliases", aliases(EMAIL)),
    ],
)
@pytest.mark.parametrize("fallback", FormatFallback)
def test_each_line_of_the_rule_holds_whatever_the_fallback(
    case, identifier, want, becomes, fallback
):
    assert convert(identifier, want, fallback) == becomes, case


@pytest.mark.parametrize(
    ("case", "identifier", "want", "fallback", "becomes"),
    [
        ("lone, as it is", EMAIL, "iss_sub", AS_IS, EMAIL),
        ("lone, most private", EMAIL, "iss_sub", PRIVATE, EMAIL),
        ("lone, dropped", EMAIL, "iss_sub", DROP, None),
        ("aliases, as they are", aliases(EMAIL, OPAQUE), "did", AS_IS, aliases(EMAIL, OPAQUE)),
        ("aliases, most private", aliases(EMAIL, OPAQUE), "did", PRIVATE, OPAQUE),
        ("aliases, dropped", aliases(EMAIL, OPAQUE), "did", DROP, None),
        (
            "user, as it is",
            complex_subject(user=aliases(EMAIL, OPAQUE), device=SAML),
            "did",
            AS_IS,
            complex_subject(user=aliases(EMAIL, OPAQUE), device=SAML),
        ),
        (
            "user, most private",
            complex_subject(user=aliases(EMAIL, OPAQUE), device=SAML),
            "did",
            PRIVATE,
            complex_subject(user=OPAQUE, device=SAML),
        ),
        ("user, dropped", complex_subject(user=EMAIL, device=SAML), "did", DROP, None),
        (
            "another member never falls back",
            complex_subject(user=DID, device=aliases(EMAIL, OPAQUE)),
            "did",
            DROP,
            complex_subject(user=DID, device=aliases(EMAIL, OPAQUE)),
        ),
        ("an acct URI is no e-mail address", ACCOUNT, "email", DROP, None),
        ("iss_sub is not opaque", ISS_SUB, "opaque", DROP, None),
        ("a scim path is no uri", SCIM, "uri", DROP, None),
    ],
)
def test_what_cannot_be_made_falls_back(case, identifier, want, fallback, becomes):
    assert convert(identifier, want, fallback) == becomes, case


@pytest.mark.parametrize("least", range(len(FROM_LEAST_TO_MOST)))
def test_the_most_private_of_several_is_chosen_in_this_order(least):
    of_these = FROM_LEAST_TO_MOST[least:]
    assert convert(aliases(*reversed(of_these)), "not-there", PRIVATE) == FROM_LEAST_TO_MOST[least]


def test_a_complex_subject_is_never_reduced_to_its_user():
    session = complex_subject(user=EMAIL, session=OPAQUE)
    for want in FORMAT_NAMES:
        for fallback in (AS_IS, PRIVATE):
            converted = convert(session, want, fallback)
            assert converted is not None
            assert converted["format"] == "complex", want
            assert converted["session"] == OPAQUE, want


def test_what_was_given_is_not_changed():
    given_identifier = complex_subject(user=aliases(EMAIL, ISS_SUB), device=OPAQUE)
    before = json.dumps(given_identifier)
    for want in FORMAT_NAMES:
        convert(given_identifier, want, PRIVATE)
    assert json.dumps(given_identifier) == before


# ------------------------------------------------------------------ laws

wishes = st.none() | st.sampled_from(sorted(FORMAT_NAMES))
fallbacks = st.sampled_from(FormatFallback)


def simple_ones(identifier: dict[str, Any]) -> list[str]:
    """Every identifier of one level inside, as text."""
    if identifier["format"] == "aliases":
        return [text for one in identifier["identifiers"] for text in simple_ones(one)]
    if identifier["format"] == "complex":
        return [t for name in identifier if name != "format" for t in simple_ones(identifier[name])]
    return [json.dumps(identifier, sort_keys=True)]


@given(identifiers, wishes, fallbacks)
def test_what_was_converted_once_stays_as_it_is(identifier, want, fallback):
    once = convert(identifier, want, fallback)
    if once is not None:
        assert convert(once, want, fallback) == once


@given(identifiers, wishes, fallbacks)
def test_no_identifier_is_sent_that_was_not_there(identifier, want, fallback):
    converted = convert(identifier, want, fallback)
    if converted is not None:
        assert set(simple_ones(dict(converted))) <= set(simple_ones(identifier))


@given(identifiers, wishes, fallbacks)
def test_what_comes_out_is_a_valid_identifier(identifier, want, fallback):
    converted = convert(parse_subject(identifier).identifier, want, fallback)
    if converted is not None:
        assert parse_subject(converted).identifier == converted


@given(identifiers, wishes)
def test_only_drop_drops_and_it_sends_nothing_but_what_was_wanted(identifier, want):
    assert convert(identifier, want, AS_IS) is not None
    assert convert(identifier, want, PRIVATE) is not None
    strictly = convert(identifier, want, DROP)
    if strictly is not None and want is not None:
        about_whom = strictly.get("user", {"format": want})
        assert want in (strictly["format"], about_whom["format"])
