"""Laws of the canonical form, and the Subject itself."""

import dataclasses
import hashlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.errors import MalformedSubject
from ssf.protocol.subjects import Subject, opaque_subject, parse_subject
from tests.protocol.strategies import identifiers, plain_texts, simple_identifiers

OLD_SPELLINGS = {
    "phone_number": "phone",
    "iss_sub": "iss-sub",
    "jwt_id": "jwt-id",
    "saml_assertion_id": "saml-assertion-id",
}


def shuffled(value, seed):
    """The same JSON with the members of every object in another order."""
    if isinstance(value, dict):
        names = list(value)
        random.Random(seed).shuffle(names)
        return {name: shuffled(value[name], seed) for name in names}
    return [shuffled(item, seed) for item in value] if isinstance(value, list) else value


@given(identifiers)
def test_parsing_what_was_parsed_changes_nothing(value):
    once = parse_subject(value)
    assert parse_subject(once.identifier) == once
    assert parse_subject(once.identifier).key == once.key


@given(identifiers)
def test_what_is_valid_strictly_means_the_same_leniently(value):
    assert parse_subject(value, strict=False) == parse_subject(value)


@given(identifiers, st.integers())
def test_member_order_does_not_count(value, seed):
    assert parse_subject(shuffled(value, seed)).canonical == parse_subject(value).canonical


@given(identifiers)
def test_the_identifier_is_sent_on_as_it_was_given(value):
    assert parse_subject(value).identifier == value


@given(simple_identifiers)
def test_an_old_spelling_has_the_same_canonical_form(value):
    old = {("subject_type" if name == "format" else name): member for name, member in value.items()}
    old["subject_type"] = OLD_SPELLINGS.get(value["format"], value["format"])
    assert parse_subject(old) == parse_subject(value)


@given(st.lists(plain_texts, min_size=1, max_size=5), st.lists(plain_texts, min_size=1, max_size=5))
def test_aliases_are_equal_exactly_when_their_sets_are(first, second):
    def aliases(ids):
        return parse_subject(
            {"format": "aliases", "identifiers": [{"format": "opaque", "id": one} for one in ids]}
        )

    assert (aliases(first).canonical == aliases(second).canonical) == (set(first) == set(second))


@given(plain_texts, plain_texts)
def test_opaque_subjects_are_equal_exactly_when_their_texts_are(first, second):
    assert (opaque_subject(first).key == opaque_subject(second).key) == (first == second)


@given(identifiers)
def test_the_canonical_form_is_ascii_json_without_white_space_and_the_key_its_digest(value):
    subject = parse_subject(value)
    assert subject.canonical.isascii()
    decoded = json.loads(subject.canonical)
    assert json.dumps(decoded, sort_keys=True, separators=(",", ":")) == subject.canonical
    assert subject.key == hashlib.sha256(subject.canonical.encode()).digest()
    assert len(subject.key) == 32


def test_canonical_forms_never_change_because_they_are_stored():
    """A changed form would orphan every stored subject: such a change needs a migration."""
    forms = {
        parse_subject(value).canonical
        for value in (
            {"format": "email", "email": "J@\u00c4.example"},
            {"format": "ip-addresses", "ip-addresses": ["::ffff:1.2.3.4", "2001:DB8::0:1", "1.2.3.4"]},
            {"format": "complex", "user": {"format": "phone", "phone_number": "+1 206 555 0100"}},
        )
    }  # fmt: skip
    assert forms == {
        '{"email":"J@xn--4ca.example","format":"email"}',
        '{"format":"ip-addresses","ip-addresses":["1.2.3.4","2001:db8::1","::ffff:102:304"]}',
        '{"format":"complex","user":{"format":"phone_number","phone_number":"+12065550100"}}',
    }


def test_a_stored_subject_comes_back_through_the_constructor():
    parsed = parse_subject({"format": "complex", "user": {"format": "opaque", "id": "1"}})
    stored = Subject(
        identifier=dict(parsed.identifier), format=parsed.format, canonical=parsed.canonical
    )
    assert stored == parsed
    assert hash(stored) == hash(parsed)
    assert stored.members == {"user": '{"format":"opaque","id":"1"}'}
    assert stored.member_keys == {
        "user": parse_subject({"format": "opaque", "id": "1"}).key,
    }


def test_a_member_key_is_the_key_of_that_member_alone():
    user = {"format": "email", "email": "a@B.example"}
    whole = parse_subject({"format": "complex", "user": user})
    assert whole.member_keys["user"] == parse_subject(user).key


def test_the_identifier_shares_nothing_with_what_was_parsed():
    given_value = {"format": "aliases", "identifiers": [{"format": "opaque", "id": "1"}]}
    parsed = parse_subject(given_value)
    given_value["identifiers"] = []
    assert parsed.identifier["identifiers"] == [{"format": "opaque", "id": "1"}]


def test_a_subject_cannot_be_changed():
    subject = opaque_subject("s1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        subject.canonical = "other"  # type: ignore[misc]


def test_the_subject_of_a_stream_is_its_opaque_id():
    assert opaque_subject("s1").identifier == {"format": "opaque", "id": "s1"}


def test_a_field_path_starts_where_the_caller_says():
    with pytest.raises(MalformedSubject) as caught:
        parse_subject({"format": "email", "email": ""}, field="sub_id")
    assert caught.value.field == "sub_id.email"
