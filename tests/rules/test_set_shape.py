"""How the SETs of one target look."""

import copy

import pytest

from ssf.protocol.caep_events import SESSION_REVOKED
from ssf.protocol.ssf_events import STREAM_UPDATED, VERIFICATION
from ssf.protocol.subject_conversion import FormatFallback
from ssf.protocol.subjects import parse_subject
from ssf.rules.set_shape import can_be_sent, shaped
from ssf.rules.targets import PLAIN_SHAPE, SetShape

EMAIL = {"format": "email", "email": "user@example.com"}
OPAQUE = {"format": "opaque", "id": "dM1"}
BOTH = {"format": "aliases", "identifiers": [EMAIL, OPAQUE]}
STREAM = {"format": "opaque", "id": "a-stream"}

ACCOUNT_DISABLED = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"
SCIM_CREATE = "urn:ietf:params:scim:event:prov:create:full"
OWN = "https://events.example.com/secevent/caep/event-type/session-revoked"
LEGACY = "https://schemas.openid.net/secevent/sse/event-type/"

EVERYTHING = SetShape(subject_format="email", legacy_event_uris=True, subject_in_event=True)


def shape_of(event_type, sub_id, payload, shape, fallback=FormatFallback.MOST_PRIVATE):
    before = copy.deepcopy((sub_id, payload))
    made = shaped(event_type, sub_id, payload, shape, fallback)
    assert (sub_id, payload) == before, "the event itself was changed"
    return made


def test_without_wishes_an_event_is_sent_as_it_is():
    for event_type in (SESSION_REVOKED, VERIFICATION, OWN):
        sub_id, events = shape_of(event_type, BOTH, {"a": 1}, PLAIN_SHAPE)
        assert (sub_id, events) == (BOTH, {event_type: {"a": 1}})


def test_the_subject_is_converted_to_the_wanted_format():
    sub_id, events = shape_of(SESSION_REVOKED, BOTH, {}, SetShape(subject_format="email"))
    assert (sub_id, events) == (EMAIL, {SESSION_REVOKED: {}})


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [
        (FormatFallback.MOST_PRIVATE, OPAQUE),
        (FormatFallback.SEND_AS_IS, BOTH),
        (FormatFallback.DROP, OPAQUE),
    ],
)
def test_what_waits_already_is_sent_also_when_the_format_cannot_be_made(fallback, expected):
    sub_id, _ = shape_of(SESSION_REVOKED, BOTH, {}, SetShape(subject_format="did"), fallback)
    assert sub_id == expected


@pytest.mark.parametrize("event_type", [VERIFICATION, STREAM_UPDATED])
@pytest.mark.parametrize("shape", [EVERYTHING, SetShape(subject_format="complex")])
def test_t29_the_subject_of_an_event_about_a_stream_is_never_converted_nor_repeated(
    event_type, shape
):
    sub_id, events = shape_of(event_type, STREAM, {}, shape, FormatFallback.DROP)
    assert sub_id == STREAM
    assert list(events.values()) == [{}]


@pytest.mark.parametrize(
    ("event_type", "name"), [(VERIFICATION, "verification"), (STREAM_UPDATED, "stream-updated")]
)
def test_events_about_a_stream_get_the_uris_of_2021_only_when_asked(event_type, name):
    _, events = shape_of(event_type, STREAM, {"state": "s"}, SetShape(legacy_event_uris=True))
    assert events == {f"{LEGACY}{name}": {"state": "s"}}
    _, events = shape_of(event_type, STREAM, {"state": "s"}, SetShape(subject_in_event=True))
    assert events == {event_type: {"state": "s"}}


@pytest.mark.parametrize("event_type", [SESSION_REVOKED, ACCOUNT_DISABLED])
def test_t33_caep_and_risc_events_repeat_the_subject_as_it_was_converted(event_type):
    sub_id, events = shape_of(event_type, BOTH, {"reason": "x"}, EVERYTHING)
    assert sub_id == EMAIL
    assert events == {event_type: {"subject": EMAIL, "reason": "x"}}


@pytest.mark.parametrize("event_type", [SCIM_CREATE, OWN, VERIFICATION])
def test_t34_other_events_carry_no_subject_inside(event_type):
    _, events = shape_of(event_type, EMAIL, {"a": 1}, SetShape(subject_in_event=True))
    assert events == {event_type: {"a": 1}}


def test_a_subject_that_the_producer_put_into_the_event_stays():
    payload = {"subject": {"format": "opaque", "id": "other"}}
    _, events = shape_of(SESSION_REVOKED, EMAIL, payload, SetShape(subject_in_event=True))
    assert events == {SESSION_REVOKED: payload}


@pytest.mark.parametrize(
    ("subject", "want", "fallback", "expected"),
    [
        (EMAIL, None, FormatFallback.DROP, True),
        (EMAIL, "email", FormatFallback.DROP, True),
        (BOTH, "opaque", FormatFallback.DROP, True),
        (EMAIL, "did", FormatFallback.DROP, False),
        (BOTH, "did", FormatFallback.DROP, False),
        ({"format": "complex", "user": EMAIL}, "did", FormatFallback.DROP, False),
        ({"format": "complex", "device": EMAIL}, "did", FormatFallback.DROP, True),
        (EMAIL, "did", FormatFallback.MOST_PRIVATE, True),
        (EMAIL, "did", FormatFallback.SEND_AS_IS, True),
    ],
)
def test_only_drop_keeps_an_event_from_a_target(subject, want, fallback, expected):
    assert can_be_sent(parse_subject(subject), want, fallback) is expected
