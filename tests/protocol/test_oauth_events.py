"""OAuth event types of 2018: the subject beside the event, and no token in plain text."""

from typing import Any

import pytest

from ssf.protocol.errors import MalformedEvent, MalformedSubject
from ssf.protocol.event_types import EVENT_CLASSES, OAUTH_EVENT_TYPE_URIS
from ssf.protocol.events import example_subject, parse_event
from ssf.protocol.oauth_events import (
    CLIENT_DISABLED,
    TOKEN_ISSUED,
    TOKEN_REVOKED,
    TOKENS_REVOKED,
    TokenRevoked,
)
from ssf.protocol.subjects import parse_subject

SECRET = "s3cr3t"
TOKEN = {
    "format": "oauth_token",
    "token_type": "refresh_token",
    "token_identifier_alg": "prefix",
    "token": "7265667265736820",
}
ACCOUNT = {"format": "iss_sub", "iss": "https://idp.example", "sub": "1"}


def refused_field(uri: str, subject: dict[str, Any]) -> str:
    with pytest.raises(MalformedSubject) as caught:
        EVENT_CLASSES[uri].require_subject(parse_subject(subject))
    assert SECRET not in str(caught.value)
    return caught.value.field


@pytest.mark.parametrize("uri", [TOKEN_ISSUED, TOKEN_REVOKED])
def test_an_event_about_a_token_has_the_token_as_its_subject(uri):
    EVENT_CLASSES[uri].require_subject(parse_subject(TOKEN))
    assert refused_field(uri, ACCOUNT) == "subject.format"


@pytest.mark.parametrize("uri", [TOKENS_REVOKED, CLIENT_DISABLED])
def test_other_events_are_about_any_subject(uri):
    for subject in (ACCOUNT, {"format": "oauth_client", "client_id": "c"}, TOKEN):
        EVENT_CLASSES[uri].require_subject(parse_subject(subject))


@pytest.mark.parametrize("algorithm", ["prefix", "hash_SHA512_double", "hash_sha-256"])
def test_a_token_is_told_by_its_prefix_or_its_hash(algorithm):
    subject = {**TOKEN, "token_identifier_alg": algorithm}
    EVENT_CLASSES[TOKEN_REVOKED].require_subject(parse_subject(subject))


@pytest.mark.parametrize(
    "algorithm", ["plain", "PLAIN", "hash", "hash_", "", None, 5, "prefix ", "x"]
)
@pytest.mark.parametrize("uri", OAUTH_EVENT_TYPE_URIS)
def test_a_token_in_plain_text_is_never_emitted(uri, algorithm):
    token = {**TOKEN, "token_identifier_alg": algorithm, "token": SECRET}
    assert refused_field(uri, token) == "subject.token_identifier_alg"


@pytest.mark.parametrize("uri", [TOKENS_REVOKED, CLIENT_DISABLED])
def test_a_token_in_plain_text_is_found_wherever_it_hides(uri):
    plain = {**TOKEN, "token_identifier_alg": "plain", "token": SECRET}
    old = {"subject_type": "oauth_token", **{k: v for k, v in plain.items() if k != "format"}}
    member = "token_identifier_alg"
    assert refused_field(uri, old) == f"subject.{member}"
    for subject, at in (
        ({"format": "complex", "user": ACCOUNT, "session": plain}, "session"),
        ({"format": "aliases", "identifiers": [ACCOUNT, plain]}, "identifiers[1]"),
        ({"format": "mine", "inner": {"token": [plain]}}, "inner.token[0]"),
        ({"format": "mine", "inner": old}, "inner"),
    ):
        assert refused_field(uri, subject) == f"subject.{at}.{member}"


@pytest.mark.parametrize(
    ("member", "value"),
    [("token_type", "id_token"), ("token_type", None), ("token", ""), ("token", 5)],
)
def test_a_token_is_described_in_full(member, value):
    assert refused_field(TOKEN_REVOKED, {**TOKEN, member: value}) == f"subject.{member}"
    rest = {name: one for name, one in TOKEN.items() if name != member}
    assert refused_field(TOKEN_REVOKED, rest) == f"subject.{member}"


@pytest.mark.parametrize("uri", OAUTH_EVENT_TYPE_URIS)
def test_the_subject_goes_beside_the_event_on_emit_and_may_be_inside_on_receipt(uri):
    payload = {"subject": TOKEN}
    with pytest.raises(MalformedEvent) as caught:
        parse_event(uri, payload)
    assert caught.value.field == f"events.{uri}.subject"
    assert parse_event(uri, payload, strict=False).to_payload() == payload


def test_the_account_of_a_token_is_a_subject_identifier_without_a_plain_token():
    event = TokenRevoked.from_payload(
        {"token_subject": {"subject_type": "iss-sub", "iss": "i", "sub": "1"}}
    )
    assert event.token_subject == {"format": "iss_sub", "iss": "i", "sub": "1"}
    for value, member in (
        ({"format": "email", "email": "none"}, "email"),
        ({}, "format"),
        ({**TOKEN, "token_identifier_alg": "plain", "token": SECRET}, "token_identifier_alg"),
    ):
        with pytest.raises(MalformedEvent) as caught:
            TokenRevoked.from_payload({"token_subject": value}, field="payload")
        assert caught.value.field == f"payload.token_subject.{member}"
        assert SECRET not in str(caught.value)
    received = {"token_subject": {"anything": 1}}
    assert TokenRevoked.from_payload(received, strict=False).to_payload() == received


@pytest.mark.parametrize("uri", OAUTH_EVENT_TYPE_URIS)
def test_every_example_subject_may_be_emitted(uri):
    EVENT_CLASSES[uri].require_subject(parse_subject(example_subject(uri)))
