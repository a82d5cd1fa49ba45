"""POST, PATCH and PUT of `/ssf/v1/streams` as pure functions (SSF 1.0 §8.1.1; T-13 to T-18)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.errors import MalformedStreamConfiguration
from ssf.protocol.stream_configuration import (
    SSF_1_0_READ_ONLY,
    Delivery,
    DeliveryMethod,
    RequestedDelivery,
    StreamConfiguration,
)
from ssf.rules.errors import ReadOnlyMismatch
from ssf.rules.ssf_stream_changes import (
    DEFAULT_DELIVERY,
    create,
    named_stream_id,
    replace,
    update,
)
from ssf.rules.streams import EditableProperties, events_delivered

PUSH = "urn:ietf:rfc:8935"
POLL = "urn:ietf:rfc:8936"
OLD_PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
URL = "https://rcv.example/events"
OTHER_URL = "https://rcv.example/other"
POLL_URL = "https://tr.example/ssf/v1/poll/stream-1"
SUPPORTED = ("u:1", "u:2", "u:3")

CHANGES = [pytest.param(update, id="PATCH"), pytest.param(replace, id="PUT")]
by_patch_and_put = pytest.mark.parametrize("change", CHANGES)


def stored(**changes: Any) -> StreamConfiguration:
    values: dict[str, Any] = {
        "stream_id": "stream-1",
        "iss": "https://tr.example",
        "aud": ("https://rcv.example",),
        "events_supported": SUPPORTED,
        "events_requested": ("u:2", "u:9"),
        "events_delivered": ("u:2",),
        "delivery": Delivery(
            method=DeliveryMethod.PUSH, endpoint_url=URL, authorization_header="Bearer x"
        ),
        "min_verification_interval": 60,
        "description": "Mine",
        "inactivity_timeout": 3600,
        "format": "email",
    }
    return StreamConfiguration(**(values | changes))


def requested(delivery: Delivery) -> RequestedDelivery:
    return RequestedDelivery(
        method=delivery.method,
        endpoint_url=delivery.endpoint_url,
        authorization_header=delivery.authorization_header,
    )


def editable(current: StreamConfiguration, **changes: Any) -> EditableProperties:
    kept: dict[str, Any] = {
        "events_requested": current.events_requested,
        "delivery": requested(current.delivery),
        "description": current.description,
        "format": current.format,
    }
    return EditableProperties(**(kept | changes))


# ------------------------------------------------------------------ create (T-13, T-17)


def test_an_empty_body_creates_a_poll_stream_that_asks_for_nothing():
    assert create({}) == EditableProperties(
        events_requested=None, delivery=DEFAULT_DELIVERY, description=None, format=None
    )
    assert DEFAULT_DELIVERY.method is DeliveryMethod.POLL


def test_a_stream_is_created_as_asked_for():
    assert create(
        {
            "events_requested": ["u:9", "u:2", "u:9"],
            "delivery": {"method": PUSH, "endpoint_url": URL, "authorization_header": "Bearer x"},
            "description": "Mine",
        }
    ) == EditableProperties(
        events_requested=("u:9", "u:2"),
        delivery=RequestedDelivery(
            method=DeliveryMethod.PUSH, endpoint_url=URL, authorization_header="Bearer x"
        ),
        description="Mine",
    )


@pytest.mark.parametrize("url", [None, POLL_URL, "https://anywhere.example/", URL])
def test_a_poll_url_sent_by_the_receiver_is_ignored_at_create(url):
    created = create({"delivery": {"method": POLL, "endpoint_url": url}})
    assert created.delivery == DEFAULT_DELIVERY


@pytest.mark.parametrize("value", [None, "other", 1, [], {}], ids=str)
@pytest.mark.parametrize("name", [*SSF_1_0_READ_ONLY, "stream_id", "format", "foo", "status"])
def test_transmitter_supplied_and_unknown_members_are_ignored_at_create(name, value):
    assert create({name: value}) == create({})


BAD_MEMBERS = [
    pytest.param("events_requested", None, id="events_requested null"),
    pytest.param("events_requested", "u:1", id="events_requested a string"),
    pytest.param("events_requested", {}, id="events_requested an object"),
    pytest.param("events_requested", [1], id="events_requested with a number"),
    pytest.param("events_requested", [""], id="events_requested with an empty string"),
    pytest.param("delivery", None, id="delivery null"),
    pytest.param("delivery", [], id="delivery an array"),
    pytest.param("delivery", "push", id="delivery a string"),
    pytest.param("delivery", {}, id="delivery empty"),
    pytest.param("delivery", {"method": "push"}, id="method unknown"),
    pytest.param("delivery", {"method": PUSH}, id="push without URL"),
    pytest.param("delivery", {"delivery_method": PUSH, "url": URL}, id="names of drafts"),
    pytest.param("description", 1, id="description a number"),
    pytest.param("description", [], id="description an array"),
    pytest.param("description", None, id="description null"),
]


@pytest.mark.parametrize(("name", "value"), BAD_MEMBERS)
def test_a_member_of_the_wrong_kind_is_refused_at_create(name, value):
    with pytest.raises(MalformedStreamConfiguration) as caught:
        create({name: value})
    assert caught.value.field.startswith(name)


# ------------------------------------------------------------------ named_stream_id (T-17)


def test_the_stream_is_named_in_the_body():
    assert named_stream_id({"stream_id": "stream-1"}) == "stream-1"


NO_NAMES: list[Any] = [None, 1, True, "", [], ["stream-1"], {}]


@pytest.mark.parametrize("body", [{}, *({"stream_id": value} for value in NO_NAMES)], ids=str)
def test_a_missing_or_malformed_stream_id_is_refused(body):
    with pytest.raises(MalformedStreamConfiguration) as caught:
        named_stream_id(body)
    assert caught.value.field == "stream_id"


# ------------------------------------------------------------------ PATCH (T-14)


def test_patch_with_nothing_changes_nothing():
    current = stored()
    assert update({"stream_id": "stream-1"}, current) == editable(current)


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({"events_requested": ["u:3", "u:8", "u:3"]}, {"events_requested": ("u:3", "u:8")}),
        ({"events_requested": []}, {"events_requested": ()}),
        ({"description": "Theirs"}, {"description": "Theirs"}),
        ({"description": ""}, {"description": ""}),
    ],
    ids=str,
)
def test_patch_sets_what_is_present_and_nothing_else(body, changes):
    current = stored()
    assert update({"stream_id": "stream-1", **body}, current) == editable(current, **changes)


def test_patch_replaces_delivery_whole():
    current = stored()
    changed = update({"delivery": {"method": PUSH, "endpoint_url": OTHER_URL}}, current)
    expected = RequestedDelivery(
        method=DeliveryMethod.PUSH, endpoint_url=OTHER_URL, authorization_header=None
    )
    assert changed == editable(current, delivery=expected)


# ------------------------------------------------------------------ PUT (T-15)


def test_put_deletes_what_is_absent_and_polls_again():
    current = stored()
    assert replace({"stream_id": "stream-1"}, current) == EditableProperties(
        events_requested=None, delivery=DEFAULT_DELIVERY, description=None, format="email"
    )


@pytest.mark.parametrize("left_out", ["events_requested", "delivery", "description"])
def test_put_deletes_exactly_the_absent_property(left_out):
    current = stored()
    body = {name: value for name, value in current.to_ssf_1_0().items() if name != left_out}
    deleted = DEFAULT_DELIVERY if left_out == "delivery" else None
    assert replace(body, current) == editable(current, **{left_out: deleted})


# ------------------------------------------------------------------ both (T-16, T-17)


@by_patch_and_put
def test_the_format_of_the_older_profile_is_kept(change):
    current = stored()
    assert change({"format": "opaque"}, current).format == "email"


@by_patch_and_put
@pytest.mark.parametrize("name", SSF_1_0_READ_ONLY)
def test_a_missing_transmitter_supplied_property_is_ignored(change, name):
    current = stored()
    body = {other: value for other, value in current.to_ssf_1_0().items() if other != name}
    assert change(body, current) == editable(current)


@by_patch_and_put
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("iss", "https://tr.example/", id="iss"),
        pytest.param("iss", ["https://tr.example"], id="iss in an array"),
        pytest.param("aud", "https://other.example", id="aud"),
        pytest.param("aud", [], id="aud empty"),
        pytest.param("events_supported", ["u:1", "u:2"], id="events_supported"),
        pytest.param("events_delivered", ["u:2", "u:9"], id="events_delivered"),
        pytest.param("min_verification_interval", 61, id="interval"),
        pytest.param("min_verification_interval", 60.0, id="interval a float"),
        pytest.param("min_verification_interval", "60", id="interval a string"),
        pytest.param("inactivity_timeout", 1, id="inactivity_timeout"),
        *(pytest.param(name, None, id=f"{name} null") for name in SSF_1_0_READ_ONLY),
    ],
)
def test_another_value_of_a_transmitter_supplied_property_is_refused(change, name, value):
    with pytest.raises(ReadOnlyMismatch) as caught:
        change({"stream_id": "stream-1", "description": "Theirs", name: value}, stored())
    assert caught.value.field == name


@by_patch_and_put
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", ["https://rcv.example"]),
        ("events_supported", ["u:3", "u:1", "u:2", "u:1"]),
        ("events_delivered", ["u:2", "u:2"]),
    ],
    ids=str,
)
def test_audiences_and_uris_are_compared_as_sets(change, name, value):
    current = stored()
    assert change({**current.to_ssf_1_0(), name: value}, current) == editable(current)


@by_patch_and_put
def test_events_delivered_is_compared_with_the_value_before_the_update(change):
    current = stored()
    body = {**current.to_ssf_1_0(), "events_requested": ["u:3"]}
    assert change(body, current) == editable(current, events_requested=("u:3",))
    with pytest.raises(ReadOnlyMismatch):
        change({**body, "events_delivered": ["u:3"]}, current)


@by_patch_and_put
def test_null_passes_where_the_stream_shows_no_such_property(change):
    current = stored(inactivity_timeout=None)
    assert change({**current.to_ssf_1_0(), "inactivity_timeout": None}, current) == editable(
        current
    )


@by_patch_and_put
@pytest.mark.parametrize(("name", "value"), BAD_MEMBERS)
def test_a_member_of_the_wrong_kind_is_refused(change, name, value):
    with pytest.raises(MalformedStreamConfiguration) as caught:
        change({"stream_id": "stream-1", name: value}, stored())
    assert caught.value.field.startswith(name)


@by_patch_and_put
@pytest.mark.parametrize("name", ["foo", "status", "format", "subject_type", "receiver_key"])
def test_unknown_members_are_ignored(change, name):
    current = stored()
    assert change({**current.to_ssf_1_0(), name: {"x": None}}, current) == editable(current)


@by_patch_and_put
def test_the_method_may_be_written_as_in_the_drafts(change):
    body = {"delivery": {"method": OLD_PUSH, "endpoint_url": URL}}
    assert change(body, stored()).delivery.method is DeliveryMethod.PUSH


# ------------------------------------------------------------------ read, modify, write

uris = st.sampled_from([*SUPPORTED, "u:4", "u:5"])
uri_lists = st.lists(uris, max_size=6)
deliveries = st.just(Delivery(method=DeliveryMethod.POLL, endpoint_url=POLL_URL)) | st.builds(
    Delivery,
    method=st.just(DeliveryMethod.PUSH),
    endpoint_url=st.from_regex(r"https://rcv\.example/[a-z]{0,5}", fullmatch=True),
    authorization_header=st.none() | st.from_regex(r"[!-~]([ -~]{0,9}[!-~])?", fullmatch=True),
)
descriptions = st.none() | st.text(alphabet="aäß 0-", max_size=9)


@st.composite
def configurations(draw: st.DrawFn) -> StreamConfiguration:
    supported = tuple(draw(st.lists(uris, unique=True)))
    asked = draw(st.none() | st.lists(uris, unique=True).map(tuple))
    return stored(
        aud=tuple(draw(st.lists(st.text(min_size=1, max_size=9), min_size=1, unique=True))),
        events_supported=supported,
        events_requested=asked,
        events_delivered=events_delivered(supported, asked or ()),
        delivery=draw(deliveries),
        min_verification_interval=draw(st.none() | st.integers(min_value=0, max_value=86_400)),
        description=draw(descriptions),
        inactivity_timeout=draw(st.none() | st.integers(min_value=1, max_value=86_400)),
        format=draw(st.none() | st.sampled_from(["email", "iss_sub"])),
    )


@by_patch_and_put
@given(current=configurations())
def test_writing_back_what_was_read_changes_nothing(change, current):
    assert change(current.to_ssf_1_0(), current) == editable(current)


@by_patch_and_put
@given(current=configurations(), asked=uri_lists)
def test_changing_events_requested_changes_nothing_else(change, current, asked):
    body = {**current.to_ssf_1_0(), "events_requested": asked}
    assert change(body, current) == editable(current, events_requested=tuple(dict.fromkeys(asked)))


@by_patch_and_put
@given(current=configurations(), delivery=deliveries)
def test_changing_the_delivery_changes_nothing_else(change, current, delivery):
    body = {**current.to_ssf_1_0(), "delivery": delivery.to_wire()}
    assert change(body, current) == editable(current, delivery=requested(delivery))


@by_patch_and_put
@given(current=configurations(), description=descriptions.filter(lambda text: text is not None))
def test_changing_the_description_changes_nothing_else(change, current, description):
    body = {**current.to_ssf_1_0(), "description": description}
    assert change(body, current) == editable(current, description=description)


@given(configurations(), st.sets(st.sampled_from(["events_requested", "delivery", "description"])))
def test_put_keeps_what_is_sent_and_patch_keeps_the_rest_too(current, sent):
    shown = current.to_ssf_1_0()
    body = {name: shown[name] for name in sent if name in shown}
    assert update(body, current) == editable(current)
    put = replace(body, current)
    for name in ("events_requested", "description"):
        expected = getattr(current, name) if name in body else None
        assert getattr(put, name) == expected
    assert put.delivery == (requested(current.delivery) if "delivery" in body else DEFAULT_DELIVERY)
