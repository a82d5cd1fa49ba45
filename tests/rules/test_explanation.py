"""Why an event went to a stream or not: the first rule that decides is the one that is named."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from ssf.protocol.stream_configuration import DeliveryMethod
from ssf.rules.deliveries import DeliveryKind, DeliveryState
from ssf.rules.explanation import (
    ExplainedDelivery,
    Explanation,
    Why,
    explain_made,
    explain_not_made,
)
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import Profile, Stream
from ssf.rules.subject_membership import NOT_LISTED, DefaultSubjects, Membership

STREAM = Stream(
    id=7,
    project_id=1,
    stream_id="st_1",
    receiver_id=1,
    profile=Profile.SSF,
    status=StreamStatus.ENABLED,
    reason=None,
    method=DeliveryMethod.PUSH,
    endpoint_url="https://receiver.example.com/events",
    authorization_sealed=None,
    audience=("https://receiver.example.com",),
    events_requested=(),
    description=None,
    format=None,
    last_verification_at=None,
    default_subjects=DefaultSubjects.NONE,
    legacy_event_uris=False,
    subject_in_event=False,
    inactive_at=None,
    probe_interval_seconds=None,
    created_at=100,
    updated_at=100,
)
OF_ALL = replace(STREAM, default_subjects=DefaultSubjects.ALL)
PAUSED = replace(STREAM, status=StreamStatus.PAUSED)

WAITING = ExplainedDelivery(
    kind=DeliveryKind.EVENT,
    state=DeliveryState.WAITING,
    attempts=0,
    last_outcome=None,
    matched_subject_id=3,
)


def not_made(stream: Stream = STREAM, **facts: Any) -> Explanation:
    return explain_not_made(
        stream,
        **{
            "created_at": 200,
            "is_about_stream": False,
            "is_routed": True,
            "audience": None,
            "membership": NOT_LISTED,
            **facts,
        },
    )


OTHERS = frozenset({"https://other.example.com"})


@pytest.mark.parametrize(
    ("stream", "facts", "why"),
    [
        pytest.param(STREAM, {"created_at": 99}, Why.STREAM_IS_YOUNGER, id="made after the event"),
        pytest.param(STREAM, {"is_about_stream": True}, Why.ABOUT_ANOTHER_STREAM, id="verification"),
        pytest.param(STREAM, {"is_routed": False}, Why.EVENT_TYPE_NOT_REQUESTED, id="type"),
        pytest.param(STREAM, {"audience": OTHERS}, Why.AUDIENCE_NOT_NAMED, id="audience"),
        pytest.param(STREAM, {}, Why.SUBJECT_NOT_ADDED, id="NONE, not added"),
        pytest.param(
            STREAM, {"membership": Membership(removed=4)}, Why.SUBJECT_NOT_ADDED, id="NONE, removed"
        ),
        pytest.param(STREAM, {"membership": Membership(added=4)}, Why.CHANGED_SINCE, id="NONE, added"),
        pytest.param(
            OF_ALL, {"membership": Membership(removed=4)}, Why.SUBJECT_REMOVED, id="ALL, removed"
        ),
        pytest.param(
            OF_ALL, {"membership": Membership(added=3, removed=4)}, Why.SUBJECT_REMOVED,
            id="ALL, added before it was removed",
        ),
        pytest.param(
            OF_ALL, {"membership": Membership(added=5, removed=4)}, Why.CHANGED_SINCE,
            id="ALL, added after it was removed",
        ),
        pytest.param(OF_ALL, {}, Why.CHANGED_SINCE, id="ALL, not listed"),
        pytest.param(
            OF_ALL, {"created_at": 100}, Why.CHANGED_SINCE, id="made in the moment of the event"
        ),
    ],
)  # fmt: skip
def test_an_event_without_a_delivery_was_not_sent_and_this_is_why(stream, facts, why):
    explained = not_made(stream, **facts)
    assert (explained.verdict, explained.why) == ("not_sent", why)
    assert explained.description.endswith(".")


def test_one_audience_in_common_is_enough():
    explained = not_made(audience=OTHERS | set(STREAM.audience))
    assert explained.why is Why.SUBJECT_NOT_ADDED


def test_of_several_reasons_the_first_in_the_order_of_fan_out_is_named():
    """Age, kind, type, audience, subject: what is further down cannot have been looked at."""
    reasons: list[tuple[dict[str, Any], Why]] = [
        ({"created_at": 99}, Why.STREAM_IS_YOUNGER),
        ({"is_about_stream": True}, Why.ABOUT_ANOTHER_STREAM),
        ({"is_routed": False}, Why.EVENT_TYPE_NOT_REQUESTED),
        ({"audience": OTHERS}, Why.AUDIENCE_NOT_NAMED),
        ({}, Why.SUBJECT_NOT_ADDED),
    ]
    for (one, first), (other, _) in itertools.combinations(reasons, 2):
        assert not_made(**one, **other).why is first


@pytest.mark.parametrize(
    ("kind", "matched", "why"),
    [
        (DeliveryKind.EVENT, 3, Why.ADDED_SUBJECT),
        (DeliveryKind.EVENT, 0, Why.STREAM_ITSELF),
        (DeliveryKind.EVENT, None, Why.ALL_SUBJECTS),
        (DeliveryKind.VERIFICATION, None, Why.STREAM_ITSELF),
        (DeliveryKind.NOTICE, None, Why.STREAM_ITSELF),
    ],
)
@pytest.mark.parametrize("state", DeliveryState)
def test_an_event_with_a_delivery_was_wanted_and_this_is_why(kind, matched, why, state):
    delivery = replace(
        WAITING, kind=kind, matched_subject_id=matched, state=state, last_outcome="x"
    )
    explained = explain_made(delivery, STREAM)
    assert (explained.verdict, explained.why) == (state.value, why)


@pytest.mark.parametrize(
    ("delivery", "stream", "words"),
    [
        pytest.param(WAITING, STREAM, "first attempt", id="not tried yet"),
        pytest.param(
            replace(WAITING, attempts=2, last_outcome="timeout"), STREAM,
            "2 attempts; the last one came to timeout", id="tried in vain",
        ),
        pytest.param(replace(WAITING, attempts=1), PAUSED, "held: the stream is paused", id="paused"),
        pytest.param(
            replace(WAITING, kind=DeliveryKind.NOTICE), PAUSED, "first attempt",
            id="a notice is not held by a pause",
        ),
        pytest.param(
            replace(WAITING, state=DeliveryState.DELIVERED, attempts=1), STREAM,
            "The receiver has it, after 1 attempt.", id="delivered",
        ),
        pytest.param(
            replace(WAITING, state=DeliveryState.DEAD, attempts=3, last_outcome="refused"), STREAM,
            "given up after 3 attempts: refused", id="dead",
        ),
        pytest.param(
            replace(WAITING, state=DeliveryState.DROPPED, last_outcome="stream_disabled"), STREAM,
            "dropped: stream_disabled", id="dropped",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_where_the_delivery_is(delivery, stream, words):
    assert words in explain_made(delivery, stream).description
