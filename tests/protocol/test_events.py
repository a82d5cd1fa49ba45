"""Event payloads, row by row: SSF 1.0 §8.1.4-5, CAEP 1.0 §2-3, RISC 1.0 §2, RFC 9967, OAuth 2018."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.caep_events import CredentialChange, SessionEstablished, SessionRevoked
from ssf.protocol.errors import MalformedEvent, UnknownEventType
from ssf.protocol.event_types import (
    CAEP_EVENT_TYPE_URIS,
    EVENT_CLASSES,
    EVENT_TYPES,
    SESSION_ESTABLISHED,
    SESSION_REVOKED,
    STREAM_UPDATED,
    VERIFICATION,
    find_event_type,
)
from ssf.protocol.events import UnknownEvent, example_payload, example_subject, parse_event
from ssf.protocol.ssf_events import StreamUpdated, Verification
from ssf.protocol.subjects import parse_subject
from tests.protocol.strategies import plain_texts
from tests.protocol.vectors import load_vectors

COMMON = {
    "event_timestamp": 1700000000,
    "initiating_entity": "admin",
    "reason_admin": {"en": "Policy", "es-410": "Pol\u00edtica"},
    "reason_user": {"de": "Bitte neu anmelden"},
}

# One row of the specification each: minimal payload, then every further member it defines.
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "verification": ({}, {"state": "abc"}),
    "stream-updated": ({"status": "paused"}, {"reason": "License is not valid"}),
    "session-revoked": ({}, COMMON),
    "token-claims-change": ({"claims": {"role": "ro-admin"}}, COMMON),
    "credential-change": (
        {"credential_type": "password", "change_type": "update"},
        {"friendly_name": "Key", "x509_issuer": "CN=x", "x509_serial": "01", "fido2_aaguid": "a", **COMMON},
    ),
    "assurance-level-change": (
        {"namespace": "NIST-AAL", "current_level": "nist-aal2"},
        {"previous_level": "nist-aal1", "change_direction": "increase", **COMMON},
    ),
    "device-compliance-change": (
        {"previous_status": "compliant", "current_status": "not-compliant"}, COMMON,
    ),
    "session-established": ({}, {"fp_ua": "f", "acr": "AAL2", "amr": ["otp"], "ext_id": "1", **COMMON}),
    "session-presented": ({}, {"fp_ua": "f", "ext_id": "1", **COMMON}),
    "risk-level-change": (
        {"principal": "USER", "current_level": "HIGH"},
        {"previous_level": "LOW", "risk_reason": "LEAKED", **COMMON},
    ),
    "account-credential-change-required": ({}, COMMON),
    "account-purged": ({}, COMMON),
    "account-disabled": ({}, {"reason": "bulk-account", **COMMON}),
    "account-enabled": ({}, COMMON),
    "identifier-changed": ({}, {"new-value": "john.roe@example.com", **COMMON}),
    "identifier-recycled": ({}, COMMON),
    "credential-compromise": ({"credential_type": "password"}, COMMON),
    "opt-in": ({}, COMMON),
    "opt-out-initiated": ({}, COMMON),
    "opt-out-cancelled": ({}, COMMON),
    "opt-out-effective": ({}, COMMON),
    "recovery-activated": ({}, COMMON),
    "recovery-information-changed": ({}, COMMON),
    "sessions-revoked": ({}, COMMON),
    "feed:add": ({}, {}),
    "feed:remove": ({}, {}),
    "prov:create:full": ({"data": {"userName": "jdoe"}}, {"version": "W/\"1\""}),
    "prov:create:notice": ({"attributes": ["userName", "emails"]}, {"version": "W/\"1\""}),
    "prov:patch:full": (
        {"data": {"Operations": [{"op": "add", "path": "members", "value": []}]}},
        {"version": "W/\"2\""},
    ),
    "prov:patch:notice": ({"attributes": ["members"]}, {"version": "W/\"2\""}),
    "prov:put:full": ({"data": {"userName": "jdoe"}}, {"version": "W/\"3\""}),
    "prov:put:notice": ({"attributes": []}, {"version": "W/\"3\""}),
    "prov:delete": ({}, {}),
    "prov:activate": ({}, {"version": "W/\"4\""}),
    "prov:deactivate": ({}, {"version": "W/\"5\""}),
    "misc:asyncresp": (
        {"method": "PUT", "status": "200"},
        {"version": "1", "bulkId": "b1", "location": "https://x/Users/1", "response": {"id": "1"}},
    ),
    "token-issued": ({}, {"token_subject": {"format": "opaque", "id": "1"}}),
    "token-revoked": (
        {}, {"token_subject": {"format": "opaque", "id": "1"}, "reason": "too_many"},
    ),
    "tokens-revoked": ({}, {"reason": "issuer"}),
    "client-disabled": ({}, {}),
    "client-enabled": ({}, {}),
    "client-credential-changed": ({}, {}),
}  # fmt: skip


def uri_of(name: str) -> str:
    return find_event_type(name).uri


def refusal(name: str, payload: object, *, strict: bool = True) -> MalformedEvent:
    with pytest.raises(MalformedEvent) as caught:
        parse_event(uri_of(name), payload, strict=strict)
    return caught.value


def test_every_registered_event_has_a_row():
    assert set(ROWS) == {event_type.name for event_type in EVENT_TYPES.values()}


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize("name", ROWS)
def test_minimal_and_full_payloads_are_read_and_written_back_alike(name, strict):
    minimal, further = ROWS[name]
    for payload in (
        minimal,
        {**minimal, **further},
        {**minimal, "https://x/mine": [1, {"a": None}]},
    ):
        event = parse_event(uri_of(name), payload, strict=strict)
        assert event.event_type.name == name
        assert event.to_payload() == payload


@pytest.mark.parametrize("name", ROWS)
def test_every_defined_member_is_typed_and_none_of_them_is_extra(name):
    minimal, further = ROWS[name]
    event = EVENT_CLASSES[uri_of(name)].from_payload({**minimal, **further})
    assert event.extra == {}
    assert {member.name for member in event.table} == {*minimal, *further}


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize(
    ("name", "member"), [(name, member) for name in ROWS for member in ROWS[name][0]]
)
def test_a_required_member_is_required_on_emit_and_on_receipt(name, member, strict):
    payload = {key: value for key, value in ROWS[name][0].items() if key != member}
    error = refusal(name, payload, strict=strict)
    assert error.field == f"events.{uri_of(name)}.{member}"
    assert error.code == "invalid_event"


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize(
    ("name", "member"),
    [(name, member) for name, (minimal, more) in ROWS.items() for member in {**minimal, **more}],
)
def test_a_member_of_another_json_type_is_refused(name, member, strict):
    payload = {**ROWS[name][0], **ROWS[name][1], member: True}
    assert refusal(name, payload, strict=strict).field == f"events.{uri_of(name)}.{member}"


CLOSED = [
    ("session-revoked", "initiating_entity", "robot"),
    ("credential-change", "change_type", "rotate"),
    ("assurance-level-change", "change_direction", "sideways"),
    ("device-compliance-change", "previous_status", "unknown"),
    ("device-compliance-change", "current_status", "Compliant"),
    ("risk-level-change", "current_level", "low"),
    ("risk-level-change", "previous_level", "CRITICAL"),
]

CLOSED_ON_EMIT = [
    ("stream-updated", "status", "asleep"),
    ("account-disabled", "reason", "fraud"),
    ("account-purged", "initiating_entity", "robot"),
    ("misc:asyncresp", "status", "OK"),
    ("misc:asyncresp", "status", "2000"),
    ("token-revoked", "reason", "bored"),
    ("tokens-revoked", "reason", "api"),
]


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize(("name", "member", "word"), CLOSED)
def test_a_list_that_the_specification_closes_is_closed_both_ways(name, member, word, strict):
    error = refusal(name, {**ROWS[name][0], member: word}, strict=strict)
    assert "must be one of" in error.reason


@pytest.mark.parametrize(
    ("name", "member", "word"),
    [
        ("credential-change", "credential_type", "retina"),
        ("credential-compromise", "credential_type", "retina"),
        ("assurance-level-change", "namespace", "Retinal Scan"),
        ("risk-level-change", "principal", "ROBOT"),
    ],
)
def test_an_open_list_takes_what_the_parties_agreed_on(name, member, word):
    event = parse_event(uri_of(name), {**ROWS[name][0], member: word})
    assert event.to_payload()[member] == word


@pytest.mark.parametrize(("name", "member", "word"), CLOSED_ON_EMIT)
def test_a_list_without_a_must_is_closed_on_emit_and_open_on_receipt(name, member, word):
    payload = {**ROWS[name][0], member: word}
    assert refusal(name, payload).field == f"events.{uri_of(name)}.{member}"
    event = parse_event(uri_of(name), payload, strict=False)
    assert getattr(event, member) == word
    assert event.to_payload() == payload


@pytest.mark.parametrize("value", [0, 1700000000, 1700000000.25, 10**11])
def test_a_timestamp_is_in_seconds_with_or_without_fraction(value):
    event = SessionRevoked.from_payload({"event_timestamp": value})
    assert event.event_timestamp == value
    assert type(event.event_timestamp) is type(value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1700000000000, "milliseconds"),
        (10**11 + 1, "milliseconds"),
        (-1, "negative"),
        (True, "number"),
        ("1700000000", "number"),
        (None, "number"),
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (10**400, "64 bits"),
    ],
)
def test_a_wrong_timestamp_is_refused_with_a_hint(value, hint):
    assert hint in refusal("session-revoked", {"event_timestamp": value}).reason


@pytest.mark.parametrize("value", [1615304991643, -1])
def test_a_timestamp_of_another_scale_is_left_alone_on_receipt(value):
    assert (
        SessionRevoked.from_payload({"event_timestamp": value}, strict=False).event_timestamp
        == value
    )


@pytest.mark.parametrize("value", [True, "1", float("nan"), float("-inf")])
def test_a_timestamp_that_is_no_number_is_refused_on_receipt_too(value):
    refusal("session-revoked", {"event_timestamp": value}, strict=False)


@pytest.mark.parametrize("member", ["reason_admin", "reason_user"])
@pytest.mark.parametrize(
    "value",
    ["text", {}, {"en": ""}, {"en": 1}, {"": "x"}, {"not a tag": "x"}, {"english-language": 7}, [], None],
)  # fmt: skip
def test_a_reason_is_texts_by_language_tag(member, value):
    refusal("session-revoked", {member: value})


@pytest.mark.parametrize("tag", ["en", "es-410", "zh-Hant-TW", "x-klingon", "und"])
def test_language_tags_are_checked_loosely(tag):
    assert SessionRevoked.from_payload({"reason_user": {tag: "text"}}).reason_user == {tag: "text"}


def test_a_plain_reason_of_an_old_peer_is_of_undetermined_language():
    event = SessionRevoked.from_payload({"reason_admin": "Landspeed"}, strict=False)
    assert event.reason_admin == {"und": "Landspeed"}


def test_an_empty_reason_object_breaks_the_definition_on_receipt_too():
    refusal("session-revoked", {"reason_admin": {}}, strict=False)


def test_amr_written_as_a_string_is_read_on_receipt_only():
    event = SessionEstablished.from_payload({"amr": "otp"}, strict=False)
    assert event.amr == ("otp",)
    refusal("session-established", {"amr": "otp"})
    refusal("session-established", {"amr": ["otp", 1]}, strict=False)


@pytest.mark.parametrize("claims", [{}, [], "x", None])
def test_token_claims_change_needs_at_least_one_claim(claims):
    refusal("token-claims-change", {"claims": claims})
    refusal("token-claims-change", {"claims": claims}, strict=False)


def test_a_null_counts_as_absent_on_receipt_and_is_refused_on_emit():
    payload = {"credential_type": "pin", "change_type": "update", "friendly_name": None}
    assert CredentialChange.from_payload(payload, strict=False).friendly_name is None
    refusal("credential-change", payload)


@pytest.mark.parametrize(
    "payload",
    [
        {"x": "a\x00b"},
        {"x": "\ud800"},
        {"a\x00": 1},
        {"x": float("nan")},
        {"x": 2**64},
        {"x": {1: 2}},
    ],
)
def test_what_could_not_be_stored_or_signed_is_not_emitted(payload):
    refusal("session-revoked", payload)


def test_deep_nesting_is_refused_on_emit_without_exhausting_the_stack():
    deep: Any = "leaf"
    for _ in range(100_000):
        deep = [deep]
    assert "nested" in refusal("session-revoked", {"x": deep}).reason


def test_an_enormous_payload_is_refused_on_emit():
    assert "10000" in refusal("session-revoked", {"x": list(range(20_000))}).reason


@pytest.mark.parametrize("payload", [None, [], "x", 1, True])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
def test_a_payload_is_an_object(payload, strict):
    assert refusal("session-revoked", payload, strict=strict).field == f"events.{SESSION_REVOKED}"


def test_verification_without_state_stays_without():
    """SSF 1.0 §8.1.4: neither null nor the empty string."""
    assert Verification().to_payload() == {}
    assert Verification.from_payload({}).state is None
    assert Verification.from_payload({"state": ""}).to_payload() == {"state": ""}
    with pytest.raises(MalformedEvent):
        Verification.from_payload({"state": None})


def test_an_unknown_type_is_refused_on_emit_and_carried_on_receipt():
    uri = "https://example.com/events/door-opened"
    with pytest.raises(UnknownEventType):
        parse_event(uri, {"door": 1})
    event = parse_event(uri, {"door": 1}, strict=False)
    assert event == UnknownEvent(uri=uri, payload={"door": 1})
    assert event.event_type.family == "unknown"
    assert event.to_payload() == {"door": 1}
    with pytest.raises(MalformedEvent):
        parse_event(uri, [], strict=False)


def test_event_type_uris_are_case_sensitive():
    with pytest.raises(UnknownEventType):
        parse_event(SESSION_REVOKED.upper(), {})


@pytest.mark.parametrize("uri", EVENT_TYPES)
def test_every_event_type_has_an_example_that_is_valid_and_fresh(uri):
    example = example_payload(uri)
    assert parse_event(uri, example).to_payload() == example
    example["changed"] = True
    assert "changed" not in example_payload(uri)


def test_there_is_no_example_of_an_unknown_type():
    with pytest.raises(UnknownEventType):
        example_payload("urn:x:y")


@pytest.mark.parametrize("vector", load_vectors("ssf_and_caep_sets"), ids=lambda one: one["name"])
def test_every_example_of_the_specifications_is_read_on_receipt(vector):
    for uri, payload in vector["claims"]["events"].items():
        event = parse_event(uri, payload, strict=False)
        assert not isinstance(event, UnknownEvent)
        written = event.to_payload()
        if payload.get("amr") == "otp":
            written["amr"] = "otp"
        assert written == payload


def test_to_payload_is_fresh_each_time():
    event = SessionRevoked.from_payload({"reason_admin": {"en": "x"}, "mine": {"a": 1}})
    event.to_payload()["reason_admin"]["en"] = "changed"
    event.to_payload()["mine"]["a"] = 2
    assert event.to_payload() == {"reason_admin": {"en": "x"}, "mine": {"a": 1}}


def test_an_extra_member_never_overrides_a_defined_one():
    event = Verification(state="real", extra={"state": "forged"})
    assert event.to_payload() == {"state": "real"}


_language_maps = st.dictionaries(
    st.sampled_from(["en", "de", "es-410"]), plain_texts, min_size=1, max_size=3
)
_common: dict[str, st.SearchStrategy[Any]] = {
    "event_timestamp": st.integers(0, 10**11) | st.floats(0, 1e11),
    "initiating_entity": st.sampled_from(["admin", "user", "policy", "system"]),
    "reason_admin": _language_maps,
    "reason_user": _language_maps,
    "https://x/mine": st.recursive(
        st.none() | st.booleans() | st.integers(-(2**62), 2**62) | plain_texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_texts, inner, max_size=3),
        max_leaves=6,
    ),
}


@pytest.mark.parametrize("uri", CAEP_EVENT_TYPE_URIS)
@given(further=st.fixed_dictionaries({}, optional=_common))
def test_an_event_written_and_read_again_is_the_same_event(uri, further):
    event_class = EVENT_CLASSES[uri]
    event = event_class.from_payload({**example_payload(uri), **further})
    assert event_class.from_payload(event.to_payload()) == event
    assert event_class.from_payload(event.to_payload(), strict=False) == event


def test_the_path_of_an_error_starts_where_the_caller_says():
    with pytest.raises(MalformedEvent) as caught:
        parse_event(SESSION_ESTABLISHED, {"acr": 1}, field="payload")
    assert caught.value.field == f"payload.{SESSION_ESTABLISHED}.acr"


def test_ssf_event_classes_say_which_event_they_are():
    assert Verification.event_type.uri == VERIFICATION
    assert StreamUpdated(status="enabled").event_type.uri == STREAM_UPDATED


@pytest.mark.parametrize("uri", EVENT_TYPES)
def test_every_event_type_has_an_example_subject_with_which_it_may_be_emitted(uri):
    EVENT_CLASSES[uri].require_subject(parse_subject(example_subject(uri)))
    example_subject(uri)["changed"] = True
    assert "changed" not in example_subject(uri)


@pytest.mark.parametrize("uri", EVENT_TYPES)
def test_every_member_says_for_people_what_it_takes(uri):
    for member in EVENT_CLASSES[uri].table:
        assert member.read.kind
