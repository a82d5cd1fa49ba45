"""The decisions about a stream's configuration: what is delivered, what may not change, whose
stream the older profile shows (SSF 1.0 §8.1.1.3, §8.1.1.4; T-16, T-18).
"""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ssf.protocol.stream_configuration import SSE_V1_READ_ONLY, SSF_1_0_READ_ONLY, DeliveryMethod
from ssf.rules.errors import ReadOnlyMismatch
from ssf.rules.stream_status import StreamStatus
from ssf.rules.streams import (
    Profile,
    Stream,
    events_delivered,
    facade_stream,
    require_unchanged,
)
from ssf.rules.subject_membership import DefaultSubjects

uris = st.sampled_from([f"https://events.example/{name}" for name in "abcdefgh"]) | st.text(
    min_size=1, max_size=5
)
uri_lists = st.lists(uris, max_size=12)


# ------------------------------------------------------------------ events_delivered (T-18)


@given(uri_lists, uri_lists)
def test_what_is_delivered_is_the_intersection_of_supported_and_requested(supported, requested):
    assert set(events_delivered(supported, requested)) == set(supported) & set(requested)


@given(uri_lists, uri_lists)
def test_nothing_is_delivered_twice(supported, requested):
    delivered = events_delivered(supported, requested)
    assert len(delivered) == len(set(delivered))


@given(uri_lists, uri_lists)
def test_delivered_types_are_in_the_order_of_the_first_request(supported, requested):
    delivered = events_delivered(supported, requested)
    assert list(delivered) == sorted(delivered, key=requested.index)


@given(uri_lists, uri_lists)
def test_asking_for_what_is_delivered_delivers_the_same(supported, requested):
    delivered = events_delivered(supported, requested)
    assert events_delivered(supported, delivered) == delivered
    assert events_delivered(delivered, requested) == delivered


@given(uri_lists, uri_lists, st.randoms(use_true_random=False))
def test_the_order_and_the_repetitions_of_what_is_supported_do_not_matter(
    supported, requested, random
):
    shuffled = [*supported, *supported]
    random.shuffle(shuffled)
    expected = events_delivered(supported, requested)
    assert events_delivered(tuple(shuffled), requested) == expected
    assert events_delivered(frozenset(supported), iter(requested)) == expected


@given(uri_lists, uri_lists, uris)
def test_supporting_one_more_type_takes_none_away(supported, requested, further):
    assert set(events_delivered(supported, requested)) <= set(
        events_delivered([*supported, further], requested)
    )


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        pytest.param(["u:2", "u:3", "u:4", "u:3"], ("u:2", "u:3"), id="unsupported and repeated"),
        pytest.param(["u:3", "u:1"], ("u:3", "u:1"), id="order of the request"),
        pytest.param([], (), id="nothing requested"),
        pytest.param(["u:4"], (), id="only unsupported"),
        pytest.param(["U:1", "u:1/", " u:1", "u:%31"], (), id="nothing is normalised"),
    ],
)
def test_delivered_of_three_supported_types(requested, expected):
    assert events_delivered(("u:1", "u:2", "u:3"), requested) == expected


def test_nothing_supported_is_nothing_delivered():
    assert events_delivered((), ["u:1"]) == ()


# ------------------------------------------------------------------ require_unchanged (T-16)

texts = st.text(max_size=8)
text_lists = st.lists(texts, max_size=4)
seconds = st.integers(min_value=0, max_value=86_400)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
shown_values = {
    "iss": texts,
    "aud": texts | text_lists,
    "events_supported": text_lists,
    "events_delivered": text_lists,
    "min_verification_interval": seconds,
    "inactivity_timeout": seconds,
    "stream_id": texts,
}
shown_properties = st.fixed_dictionaries({}, optional=shown_values)
members = st.sampled_from(sorted(shown_values))
arrays = st.sampled_from(["aud", "events_supported", "events_delivered"])


def refused_field(sent: Any, current: Any, *names: str) -> str | None:
    try:
        require_unchanged(sent, current, names)
    except ReadOnlyMismatch as refused:
        return refused.field
    return None


def is_the_same_value(sent: Any, shown: Any) -> bool:
    if isinstance(shown, list) and isinstance(sent, list):
        return all(isinstance(item, str) for item in sent) and set(sent) == set(shown)
    return type(sent) is type(shown) and bool(sent == shown)


def is_one_in_an_array(sent: Any, shown: Any) -> bool:
    return (
        isinstance(shown, str) and isinstance(sent, list) and set(map(repr, sent)) == {repr(shown)}
    ) or (isinstance(sent, str) and isinstance(shown, list) and set(shown) == {sent})


def test_every_read_only_property_is_looked_at_here():
    assert set(shown_values) == {*SSE_V1_READ_ONLY, *SSF_1_0_READ_ONLY}


@given(shown_properties)
def test_sending_back_exactly_what_is_shown_is_always_accepted(shown):
    assert refused_field(shown, shown, *shown_values) is None


@given(shown_properties)
def test_sending_nothing_is_always_accepted(shown):
    assert refused_field({}, shown, *shown_values) is None


@given(st.data(), members)
def test_any_other_value_is_refused_and_the_member_named(data, name):
    shown = data.draw(shown_values[name], label="shown")
    sent = data.draw(json_values | shown_values[name], label="sent")
    assume(not is_one_in_an_array(sent, shown))
    refused = refused_field({name: sent}, {name: shown}, name)
    assert refused == (None if is_the_same_value(sent, shown) else name)


@given(arrays, text_lists.filter(bool), st.randoms(use_true_random=False))
def test_an_array_may_come_back_in_another_order_and_with_repetitions(name, shown, random):
    sent = [*shown, random.choice(shown)]
    random.shuffle(sent)
    assert refused_field({name: sent}, {name: shown}, name) is None


@given(arrays, text_lists, texts)
def test_an_array_with_one_more_or_one_less_is_refused(name, shown, further):
    if further not in shown:
        assert refused_field({name: [*shown, further]}, {name: shown}, name) == name
        assert refused_field({name: shown}, {name: [*shown, further]}, name) == name


@pytest.mark.parametrize(
    ("name", "sent", "shown"),
    [
        pytest.param("iss", ["x"], "x", id="iss in an array"),
        pytest.param("stream_id", ["x"], "x", id="stream_id in an array"),
        pytest.param("events_supported", "x", ["x"], id="events_supported a string"),
        pytest.param("events_delivered", "x", ["x"], id="events_delivered a string"),
        pytest.param("min_verification_interval", [1], 1, id="interval in an array"),
    ],
)
def test_only_an_audience_may_be_one_string_or_an_array_of_it(name, sent, shown):
    assert refused_field({name: sent}, {name: shown}, name) == name


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        pytest.param("a", ["a"], id="a string for an array of it"),
        pytest.param(["a"], "a", id="an array for its only string"),
        pytest.param(["a", "a"], "a", id="repeated"),
        pytest.param(["b", "a"], ["a", "b"], id="another order"),
    ],
)
def test_one_audience_equals_an_array_of_it(sent, shown):
    assert refused_field({"aud": sent}, {"aud": shown}, "aud") is None


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        pytest.param("a", ["a", "b"], id="a string for two"),
        pytest.param([], ["a"], id="empty"),
        pytest.param([], "a", id="empty for a string"),
        pytest.param(["a", 1], ["a"], id="something else beside it"),
        pytest.param([["a"]], ["a"], id="an array inside"),
        pytest.param({"a": 1}, ["a"], id="an object"),
        pytest.param("A", "a", id="another case"),
        pytest.param("", "a", id="empty string"),
    ],
)
def test_another_audience_is_refused(sent, shown):
    assert refused_field({"aud": sent}, {"aud": shown}, "aud") == "aud"


@pytest.mark.parametrize("sent", [True, 1.0, "1", [1], None, 2, 0, {"value": 1}])
def test_only_an_integer_is_an_integer(sent):
    name = "min_verification_interval"
    assert refused_field({name: sent}, {name: 1}, name) == name


@pytest.mark.parametrize("sent", [False, 0.0, -0.0, "0", "", None, []])
def test_nothing_but_zero_is_zero(sent):
    name = "min_verification_interval"
    assert refused_field({name: sent}, {name: 0}, name) == name


@pytest.mark.parametrize("name", sorted({*SSE_V1_READ_ONLY, *SSF_1_0_READ_ONLY}))
def test_null_passes_only_where_the_stream_shows_no_such_property(name):
    assert refused_field({name: None}, {}, name) is None
    assert refused_field({name: None}, {name: "x"}, name) == name
    assert refused_field({name: None}, {name: []}, name) == name
    assert refused_field({name: None}, {name: 0}, name) == name


@given(json_values.filter(lambda value: value is not None))
def test_a_property_that_the_stream_does_not_show_cannot_be_given_a_value(sent):
    assert refused_field({"inactivity_timeout": sent}, {}, "inactivity_timeout")


def test_the_first_of_several_differences_is_named_in_the_order_of_the_profile():
    shown = {"iss": "i", "aud": "a"}
    assert refused_field({"aud": "x", "iss": "y"}, shown, *SSE_V1_READ_ONLY) == "iss"


def test_members_that_are_not_read_only_are_not_looked_at():
    assert refused_field({"description": 1, "delivery": None}, {}, *SSE_V1_READ_ONLY) is None


def test_the_refusal_does_not_quote_values():
    with pytest.raises(ReadOnlyMismatch) as caught:
        require_unchanged({"aud": "sent-value"}, {"aud": "shown-value"}, ["aud"])
    assert "value" not in caught.value.description.replace("send the value that you read", "")


# ------------------------------------------------------------------ facade_stream


def stream(number: int, profile: Profile) -> Stream:
    return Stream(
        id=number,
        project_id=1,
        stream_id=f"stream-{number}",
        receiver_id=1,
        profile=profile,
        status=StreamStatus.ENABLED,
        reason=None,
        method=DeliveryMethod.POLL,
        endpoint_url=None,
        authorization_sealed="sealed-secret",
        audience=("a",),
        events_requested=None,
        description=None,
        format=None,
        last_verification_at=None,
        default_subjects=DefaultSubjects.ALL,
        legacy_event_uris=False,
        subject_in_event=False,
        inactive_at=None,
        probe_interval_seconds=None,
        created_at=0,
        updated_at=0,
    )


@pytest.mark.parametrize(
    ("profiles", "shown"),
    [
        pytest.param([], None, id="none"),
        pytest.param(["ssf"], 1, id="the only one, though made through SSF 1.0"),
        pytest.param(["ssf", "ssf"], None, id="several through SSF 1.0"),
        pytest.param(["sse"], 1, id="its own"),
        pytest.param(["sse", "ssf"], 1, id="its own, first"),
        pytest.param(["ssf", "ssf", "sse"], 3, id="its own, last"),
        pytest.param(["ssf", "sse", "ssf"], 2, id="its own, between others"),
    ],
)
def test_the_one_stream_that_the_older_profile_shows(profiles, shown):
    streams = [stream(number, Profile(word)) for number, word in enumerate(profiles, start=1)]
    found = facade_stream(streams)
    assert (None if found is None else found.id) == shown


def test_what_encrypts_to_a_secret_is_not_in_the_repr():
    assert "sealed-secret" not in repr(stream(1, Profile.SSF))
