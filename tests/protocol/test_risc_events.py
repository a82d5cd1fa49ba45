"""RISC 1.0: what its events demand beyond the types of their members."""

from typing import Any

import pytest

from ssf.protocol.errors import MalformedEvent, MalformedSubject
from ssf.protocol.event_types import EVENT_CLASSES, RISC_EVENT_TYPE_URIS, find_event_type
from ssf.protocol.events import example_subject, parse_event
from ssf.protocol.risc_events import (
    IDENTIFIER_CHANGED,
    CredentialCompromise,
    IdentifierChanged,
    RiscEvent,
)
from ssf.protocol.subjects import parse_subject

EMAIL = {"format": "email", "email": "user@example.com"}
PHONE = {"format": "phone_number", "phone_number": "+12065550100"}
OTHERS: list[dict[str, Any]] = [
    {"format": "opaque", "id": "1"},
    {"format": "iss_sub", "iss": "https://idp.example", "sub": "1"},
    {"format": "account", "uri": "acct:user@example.com"},
    {"format": "complex", "user": EMAIL},
    {"format": "aliases", "identifiers": [EMAIL]},
]


@pytest.mark.parametrize("name", ["identifier-changed", "identifier-recycled"])
def test_an_identifier_event_is_about_an_email_address_or_a_phone_number(name):
    event_class = EVENT_CLASSES[find_event_type(name).uri]
    for subject in (EMAIL, PHONE, {"format": "phone", "phone_number": "+12065550100"}):
        event_class.require_subject(parse_subject(subject))
    for subject in OTHERS:
        with pytest.raises(MalformedSubject) as caught:
            event_class.require_subject(parse_subject(subject), field="sub_id")
        assert caught.value.field == "sub_id.format"
        assert caught.value.code == "invalid_subject"
        assert "email or phone_number" in caught.value.reason


@pytest.mark.parametrize("uri", sorted({*RISC_EVENT_TYPE_URIS} - {IDENTIFIER_CHANGED}))
def test_every_other_event_is_about_any_subject(uri):
    event_class = EVENT_CLASSES[uri]
    event_class.require_subject(parse_subject(example_subject(uri)))
    if "identifier" not in uri:
        for subject in OTHERS:
            event_class.require_subject(parse_subject(subject))


def test_the_new_value_has_a_hyphen_on_the_wire():
    event = IdentifierChanged.from_payload({"new-value": "john.roe@example.com"})
    assert event.new_value == "john.roe@example.com"
    assert event.to_payload() == {"new-value": "john.roe@example.com"}
    assert IdentifierChanged.from_payload({"new_value": "x"}).new_value is None
    assert IdentifierChanged(new_value="+12065550100").to_payload() == {"new-value": "+12065550100"}
    with pytest.raises(MalformedEvent):
        IdentifierChanged.from_payload({"new-value": ""})


@pytest.mark.parametrize("uri", RISC_EVENT_TYPE_URIS)
def test_the_common_members_of_caep_are_understood_in_every_event(uri):
    event_class = EVENT_CLASSES[uri]
    assert issubclass(event_class, RiscEvent)
    event = event_class.from_payload(
        {**event_class.example, "event_timestamp": 1_700_000_000, "reason_admin": {"en": "why"}}
    )
    assert isinstance(event, RiscEvent)
    assert event.event_timestamp == 1_700_000_000
    assert event.reason_admin == {"en": "why"}


def test_a_compromise_has_reasons_by_language_as_caep_has_them():
    payload = {"credential_type": "password", "reason_user": "plain"}
    with pytest.raises(MalformedEvent):
        CredentialCompromise.from_payload(payload)
    event = CredentialCompromise.from_payload(payload, strict=False)
    assert event.reason_user == {"und": "plain"}


def test_the_old_verification_event_of_risc_is_no_type_of_ours_and_is_carried_on_receipt():
    uri = "https://schemas.openid.net/secevent/risc/event-type/verification"
    assert parse_event(uri, {"state": "x"}, strict=False).event_type.family == "unknown"
