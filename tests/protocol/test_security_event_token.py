"""The claims of a SET: RFC 8417 §2.2 and the profile of SSF 1.0 §4."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.errors import MalformedSet, WrongAudience, WrongIssuer
from ssf.protocol.security_event_token import (
    SecurityEventToken,
    check_audience,
    check_issuer,
    check_not_from_future,
)
from ssf.protocol.subjects import parse_subject
from tests.protocol.strategies import identifiers, plain_texts
from tests.protocol.vectors import load_vectors

URI = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
CLAIMS: dict[str, Any] = {
    "iss": "https://tr.example",
    "jti": "j1",
    "iat": 1700000000,
    "aud": "https://rcv.example",
    "txn": "t1",
    "sub_id": {"format": "email", "email": "u@example.com"},
    "events": {URI: {}},
}


def changed(**claims: Any) -> dict[str, Any]:
    return {**CLAIMS, **claims}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def test_the_envelope_is_read_and_written_back_alike():
    token = SecurityEventToken.from_claims(CLAIMS)
    assert token.aud == ("https://rcv.example",)
    assert token.to_claims() == CLAIMS


def test_several_audiences_are_written_as_an_array():
    claims = changed(aud=["a", "b"])
    assert SecurityEventToken.from_claims(claims).to_claims() == claims
    assert SecurityEventToken.from_claims(changed(aud=["a"])).to_claims()["aud"] == "a"


@pytest.mark.parametrize("name", ["sub", "exp"])
@pytest.mark.parametrize("value", ["x", 1, None])
def test_sub_and_exp_are_refused(name, value):
    with pytest.raises(MalformedSet) as caught:
        SecurityEventToken.from_claims(changed(**{name: value}))
    assert (caught.value.field, caught.value.err) == (name, "invalid_request")


@pytest.mark.parametrize("name", ["iss", "iat", "jti", "sub_id", "events"])
def test_a_required_claim_is_required(name):
    with pytest.raises(MalformedSet) as caught:
        SecurityEventToken.from_claims(without(name))
    assert caught.value.field == name
    assert caught.value.code == caught.value.err == "invalid_request"


@pytest.mark.parametrize(
    ("claims", "field"),
    [
        pytest.param(changed(iss=1), "iss", id="iss: number"),
        pytest.param(changed(iss=""), "iss", id="iss: empty"),
        pytest.param(changed(iat=True), "iat", id="iat: boolean"),
        pytest.param(changed(iat="1700000000"), "iat", id="iat: string"),
        pytest.param(changed(iat=float("nan")), "iat", id="iat: NaN"),
        pytest.param(changed(iat=float("inf")), "iat", id="iat: infinite"),
        pytest.param(changed(iat=10**400), "iat", id="iat: beyond 64 bits"),
        pytest.param(changed(jti=""), "jti", id="jti: empty"),
        pytest.param(changed(jti="x" * 1025), "jti", id="jti: 1025 characters"),
        pytest.param(changed(jti="a\x00"), "jti", id="jti: NUL"),
        pytest.param(changed(jti=7), "jti", id="jti: number"),
        pytest.param(changed(aud=1), "aud", id="aud: number"),
        pytest.param(changed(aud=["a", 1]), "aud", id="aud: array with a number"),
        pytest.param(changed(aud={}), "aud", id="aud: object"),
        pytest.param(changed(aud=["a"] * 101), "aud", id="aud: 101"),
        pytest.param(changed(txn=[]), "txn", id="txn: array"),
        pytest.param(changed(txn=True), "txn", id="txn: boolean"),
        pytest.param(changed(toe="1"), "toe", id="toe: string"),
        pytest.param(changed(sub_id="u"), "sub_id", id="sub_id: string"),
        pytest.param(changed(sub_id={"format": "email", "email": ""}), "sub_id.email", id="sub_id: empty email"),
        pytest.param(changed(events={}), "events", id="events: empty"),
        pytest.param(changed(events=[]), "events", id="events: array"),
        pytest.param(changed(events={"session-revoked": {}}), "events", id="events: relative URI"),
        pytest.param(changed(events={URI: "x"}), f"events.{URI}", id="events: payload is no object"),
        pytest.param(changed(events={f"urn:x:{n}": {} for n in range(101)}), "events", id="events: 101"),
    ],
)  # fmt: skip
def test_a_malformed_claim_is_refused_and_named(claims, field):
    with pytest.raises(MalformedSet) as caught:
        SecurityEventToken.from_claims(claims)
    assert caught.value.field == field


def test_1024_characters_are_the_limit_of_a_jti():
    assert SecurityEventToken.from_claims(changed(jti="x" * 1024)).jti


@pytest.mark.parametrize("claims", [None, [], "x", 1])
def test_claims_are_an_object(claims):
    with pytest.raises(MalformedSet):
        SecurityEventToken.from_claims(claims)


def test_several_event_uris_are_accepted_on_receipt():
    events = {URI: {}, "https://example.com/alias": {"a": 1}}
    assert SecurityEventToken.from_claims(changed(events=events)).events == events


def test_unknown_claims_are_kept_but_do_not_disturb():
    token = SecurityEventToken.from_claims(changed(sid="s1"))
    assert token.extra == {"sid": "s1"}
    assert token.to_claims()["sid"] == "s1"


def test_what_must_not_be_in_a_set_is_never_written():
    token = SecurityEventToken.from_claims(CLAIMS)
    forged = SecurityEventToken(
        iss=token.iss, aud=token.aud, iat=token.iat, jti=token.jti, sub_id=token.sub_id,
        events=token.events, extra={"sub": "x", "exp": 1, "iss": "https://other"},
    )  # fmt: skip
    assert {"sub", "exp"}.isdisjoint(forged.to_claims())
    assert forged.to_claims()["iss"] == token.iss


def test_a_fractional_iat_is_cut_to_seconds_and_toe_keeps_its_fraction():
    token = SecurityEventToken.from_claims(changed(iat=1700000000.9, toe=1699999999.5))
    assert (token.iat, token.toe) == (1700000000, 1699999999.5)
    assert type(token.iat) is int


def test_a_numeric_txn_becomes_its_digits():
    """CAEP 1.0 writes 8675309 in its examples, RFC 8417 says string."""
    assert SecurityEventToken.from_claims(changed(txn=8675309)).txn == "8675309"


def test_absent_optional_claims_stay_absent():
    token = SecurityEventToken.from_claims(without("txn"))
    assert token.txn is None
    assert token.toe is None
    assert set(token.to_claims()) == {"iss", "iat", "jti", "aud", "sub_id", "events"}
    assert "aud" not in SecurityEventToken.from_claims(without("aud")).to_claims()


def test_to_claims_is_fresh_each_time_since_signers_change_it():
    token = SecurityEventToken.from_claims(CLAIMS)
    claims = token.to_claims()
    claims["iat"] = 0
    claims["sub_id"]["email"] = "other"
    claims["events"][URI]["x"] = 1
    assert token.to_claims() == CLAIMS


def test_a_subject_inside_the_event_counts_only_when_asked_for():
    claims = without("sub_id") | {"events": {URI: {"subject": {"format": "opaque", "id": "s"}}}}
    with pytest.raises(MalformedSet):
        SecurityEventToken.from_claims(claims)
    token = SecurityEventToken.from_claims(claims, allow_event_subject=True)
    assert token.sub_id == {"format": "opaque", "id": "s"}


def test_without_any_subject_sub_id_is_what_is_missing():
    with pytest.raises(MalformedSet) as caught:
        SecurityEventToken.from_claims(without("sub_id"), allow_event_subject=True)
    assert caught.value.field == "sub_id"


def test_sub_id_wins_over_a_subject_inside_the_event():
    claims = changed(events={URI: {"subject": {"format": "opaque", "id": "s"}}})
    token = SecurityEventToken.from_claims(claims, allow_event_subject=True)
    assert token.sub_id == CLAIMS["sub_id"]


def test_a_bad_subject_inside_the_event_is_named_by_its_path():
    claims = without("sub_id") | {"events": {URI: {"subject": {"format": "opaque"}}}}
    with pytest.raises(MalformedSet) as caught:
        SecurityEventToken.from_claims(claims, allow_event_subject=True)
    assert caught.value.field == f"events.{URI}.subject.id"


def test_sub_id_is_read_leniently_and_brought_into_todays_spelling():
    old = {"subject_type": "iss-sub", "iss": "i", "sub": "s", "name": "U"}
    token = SecurityEventToken.from_claims(changed(sub_id=old))
    assert token.sub_id == {"format": "iss_sub", "iss": "i", "sub": "s"}


@pytest.mark.parametrize("vector", load_vectors("rfc8417_sets"), ids=lambda one: one["name"])
def test_the_examples_of_rfc_8417_lack_what_the_profile_demands(vector):
    with pytest.raises(MalformedSet) as caught:
        SecurityEventToken.from_claims(vector["claims"])
    assert caught.value.field == vector["refused_for"]
    if "event_subject" in vector:
        token = SecurityEventToken.from_claims(vector["claims"], allow_event_subject=True)
        assert token.sub_id == vector["event_subject"]


@pytest.mark.parametrize("vector", load_vectors("ssf_and_caep_sets"), ids=lambda one: one["name"])
def test_the_examples_of_ssf_and_caep_are_accepted(vector):
    written = SecurityEventToken.from_claims(vector["claims"]).to_claims()
    expected = dict(vector["claims"])
    if "txn" in expected:
        expected["txn"] = str(expected["txn"])
    assert written == expected


tokens = st.builds(
    SecurityEventToken,
    iss=plain_texts,
    aud=st.lists(plain_texts, max_size=3).map(tuple),
    iat=st.integers(-(2**62), 2**62),
    jti=plain_texts,
    sub_id=identifiers.map(lambda value: parse_subject(value).identifier),
    events=st.dictionaries(
        st.sampled_from([URI, "urn:x:y"]), st.just({"a": [1]}), min_size=1, max_size=2
    ),
    txn=st.none() | plain_texts,
    toe=st.none() | st.integers(0, 2**40) | st.floats(0, 1e12),
    extra=st.dictionaries(st.sampled_from(["sid", "x"]), st.just({"deep": []}), max_size=2),
)


@given(tokens)
def test_a_token_written_and_read_again_is_the_same_token(token):
    over_the_wire = json.loads(json.dumps(token.to_claims()))
    assert SecurityEventToken.from_claims(over_the_wire) == token


def test_the_issuer_is_compared_byte_by_byte():
    check_issuer("https://tr.example/a", "https://tr.example/a")
    for other in ("https://tr.example/a/", "https://TR.example/a", ""):
        with pytest.raises(WrongIssuer) as caught:
            check_issuer(other, "https://tr.example/a")
        assert caught.value.err == "invalid_issuer"
        assert isinstance(caught.value, MalformedSet)


def test_one_accepted_audience_is_enough():
    check_audience(("a", "b"), "b")
    check_audience(("a", "b"), ["x", "a"])


@pytest.mark.parametrize(
    ("aud", "accepted"),
    [(("a",), "b"), ((), "b"), (("a",), []), (("b",), "abc"), (("A",), "a")],
)
def test_an_audience_that_does_not_name_us_is_refused(aud, accepted):
    """The fourth row: a string is one name, never a set of letters."""
    with pytest.raises(WrongAudience) as caught:
        check_audience(aud, accepted)
    assert caught.value.err == "invalid_audience"


def test_iat_may_be_ahead_by_the_leeway_and_no_more():
    check_not_from_future(1060, now_seconds=1000, leeway_seconds=60)
    check_not_from_future(0, now_seconds=1000.5, leeway_seconds=0)
    with pytest.raises(MalformedSet) as caught:
        check_not_from_future(1061, now_seconds=1000, leeway_seconds=60)
    assert caught.value.err == "invalid_request"
