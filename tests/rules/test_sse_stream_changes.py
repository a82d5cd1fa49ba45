"""`POST /sse/v1/stream` as a pure function: every cell of the table of replace semantics."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssf.protocol.errors import (
    MalformedStreamConfiguration,
    ProtocolError,
    UnknownSubjectFormat,
)
from ssf.protocol.stream_configuration import (
    Delivery,
    DeliveryMethod,
    RequestedDelivery,
    StreamConfiguration,
)
from ssf.protocol.subject_formats import FORMAT_NAMES
from ssf.rules.errors import ReadOnlyMismatch
from ssf.rules.sse_stream_changes import MissingRequired, replace
from ssf.rules.streams import EditableProperties, events_delivered

PUSH = "urn:ietf:rfc:8935"
POLL = "urn:ietf:rfc:8936"
OLD_PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
OLD_POLL = "https://schemas.openid.net/secevent/risc/delivery-method/poll"
URL = "https://rcv.example/events"
POLL_URL = "https://tr.example/sse/v1/poll"
SUPPORTED = ("u:1", "u:2", "u:3")
READ_ONLY = ("iss", "aud", "events_supported", "events_delivered", "min_verification_interval")

REJECT, DELETE = MissingRequired.REJECT, MissingRequired.DELETE
both_modes = pytest.mark.parametrize("mode", [REJECT, DELETE])

PUSH_DELIVERY = Delivery(
    method=DeliveryMethod.PUSH, endpoint_url=URL, authorization_header="Bearer x"
)
POLL_DELIVERY = Delivery(method=DeliveryMethod.POLL, endpoint_url=POLL_URL)


def stored(**changes: Any) -> StreamConfiguration:
    """Supported {1,2,3}, requested [2], delivered [2], format email: as in the example rows."""
    values: dict[str, Any] = {
        "stream_id": "stream-1",
        "iss": "https://tr.example",
        "aud": ("https://rcv.example",),
        "events_supported": SUPPORTED,
        "events_requested": ("u:2",),
        "events_delivered": ("u:2",),
        "delivery": PUSH_DELIVERY,
        "min_verification_interval": 60,
        "description": "Mine",
        "format": "email",
    }
    return StreamConfiguration(**(values | changes))


def editable(current: StreamConfiguration, **changes: Any) -> EditableProperties:
    """What the stored configuration holds now, in the terms of what may be written."""
    kept: dict[str, Any] = {
        "events_requested": current.events_requested,
        "delivery": requested(current.delivery),
        "description": current.description,
        "format": current.format,
    }
    return EditableProperties(**(kept | changes))


def requested(delivery: Delivery) -> RequestedDelivery:
    return RequestedDelivery(
        method=delivery.method,
        endpoint_url=delivery.endpoint_url,
        authorization_header=delivery.authorization_header,
    )


def body_of(current: StreamConfiguration, *left_out: str, **changes: Any) -> dict[str, Any]:
    """What the receiver read, with these members changed or left out."""
    body = {**current.to_sse_v1(), **changes}
    return {name: value for name, value in body.items() if name not in left_out}


def refusal(
    body: Mapping[str, Any],
    current: StreamConfiguration | None = None,
    mode: MissingRequired = REJECT,
) -> ReadOnlyMismatch | ProtocolError:
    with pytest.raises((ReadOnlyMismatch, MalformedStreamConfiguration, UnknownSubjectFormat)) as e:
        replace(body, current or stored(), mode)
    assert isinstance(e.value, ReadOnlyMismatch | ProtocolError)
    return e.value


# ------------------------------------------------------------------ read-only properties


@both_modes
@pytest.mark.parametrize("name", READ_ONLY)
def test_a_missing_read_only_property_has_no_effect(name, mode):
    current = stored()
    assert replace(body_of(current, name), current, mode) == editable(current)


@both_modes
def test_all_read_only_properties_may_be_missing(mode):
    current = stored()
    assert replace(body_of(current, *READ_ONLY), current, mode) == editable(current)


@both_modes
@pytest.mark.parametrize("name", READ_ONLY)
def test_null_for_a_read_only_property_is_refused(name, mode):
    current = stored()
    assert refusal(body_of(current, **{name: None}), current, mode).field == name


@both_modes
def test_null_passes_where_the_stored_value_is_absent(mode):
    """Footnote 1: a client echoing its own model with nulls in it."""
    current = stored(min_verification_interval=None)
    body = body_of(current, min_verification_interval=None)
    assert replace(body, current, mode) == editable(current)


def test_a_value_for_an_absent_read_only_property_is_refused():
    current = stored(min_verification_interval=None)
    body = body_of(current, min_verification_interval=60)
    assert refusal(body, current).field == "min_verification_interval"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("aud", ["https://rcv.example"], id="aud as an array"),
        pytest.param("aud", ["https://rcv.example"] * 2, id="aud repeated"),
        pytest.param("events_supported", ["u:3", "u:2", "u:1"], id="supported in another order"),
        pytest.param("events_supported", ["u:1", "u:2", "u:3", "u:3"], id="supported repeated"),
        pytest.param("events_delivered", ["u:2", "u:2"], id="delivered repeated"),
    ],
)
def test_audiences_and_uris_are_compared_as_sets(name, value):
    current = stored()
    assert replace(body_of(current, **{name: value}), current, REJECT) == editable(current)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("iss", "https://tr.example/", id="iss with a slash"),
        pytest.param("iss", "https://TR.example", id="iss in another case"),
        pytest.param("iss", "", id="iss empty"),
        pytest.param("iss", 1, id="iss a number"),
        pytest.param("iss", ["https://tr.example"], id="iss in an array"),
        pytest.param("aud", "https://other.example", id="another aud"),
        pytest.param("aud", ["https://rcv.example", "https://other.example"], id="one more aud"),
        pytest.param("aud", [], id="no aud"),
        pytest.param("aud", 1, id="aud a number"),
        pytest.param("events_supported", ["u:1", "u:2"], id="one supported less"),
        pytest.param("events_supported", ["u:1", "u:2", "u:3", "u:4"], id="one supported more"),
        pytest.param("events_supported", "u:1", id="supported a string"),
        pytest.param("events_supported", {}, id="supported an object"),
        pytest.param("events_delivered", [], id="delivered empty"),
        pytest.param("events_delivered", ["u:3"], id="delivered other"),
        pytest.param("events_delivered", ["u:2", 2], id="delivered with a number"),
        pytest.param("events_delivered", "u:2", id="delivered a string"),
        pytest.param("min_verification_interval", 61, id="interval other"),
        pytest.param("min_verification_interval", 60.0, id="interval a float"),
        pytest.param("min_verification_interval", "60", id="interval a string"),
        pytest.param("min_verification_interval", True, id="interval a boolean"),
        pytest.param("stream_id", ["stream-1"], id="stream_id in an array"),
        pytest.param("stream_id", "stream-2", id="another stream_id"),
        pytest.param("stream_id", "", id="stream_id empty"),
        pytest.param("stream_id", 1, id="stream_id a number"),
        pytest.param("stream_id", None, id="stream_id null"),
    ],
)
def test_another_value_of_a_read_only_property_is_refused(name, value):
    current = stored()
    assert refusal(body_of(current, **{name: value}), current).field == name


@pytest.mark.parametrize("value", [True, 1.0, "1"])
def test_an_interval_of_1_is_no_boolean_no_float_and_no_string(value):
    current = stored(min_verification_interval=1)
    body = body_of(current, min_verification_interval=value)
    assert refusal(body, current).field == "min_verification_interval"


def test_events_delivered_is_compared_with_the_value_before_the_update():
    """Footnote 2: a client that changes `events_requested` echoes what it has read."""
    current = stored()
    read = body_of(current, events_requested=["u:3"])
    assert replace(read, current, REJECT).events_requested == ("u:3",)
    ahead = body_of(current, events_requested=["u:3"], events_delivered=["u:3"])
    assert refusal(ahead, current).field == "events_delivered"


def test_the_receivers_own_stream_id_may_be_sent():
    current = stored()
    assert replace(body_of(current, stream_id="stream-1"), current, REJECT) == editable(current)


# ------------------------------------------------------------------ events_requested


def test_missing_events_requested_is_refused_when_required():
    current = stored()
    error = refusal(body_of(current, "events_requested"), current)
    assert error.field == "events_requested"
    assert isinstance(error, MalformedStreamConfiguration)


def test_missing_events_requested_are_deleted_to_the_letter():
    current = stored()
    replaced = replace(body_of(current, "events_requested"), current, DELETE)
    assert replaced == editable(current, events_requested=())


@both_modes
@pytest.mark.parametrize(
    "value",
    [None, "u:1", {}, 1, True, [1], [None], [""], ["u:1", ""], [["u:1"]], [True]],
    ids=str,
)
def test_bad_events_requested_are_refused(value, mode):
    current = stored()
    error = refusal(body_of(current, events_requested=value), current, mode)
    assert str(error.field).startswith("events_requested")


@both_modes
@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param([], (), id="empty"),
        pytest.param(["u:3", "u:4", "u:3"], ("u:3", "u:4"), id="deduplicated, unsupported kept"),
    ],
)
def test_events_requested_replace_what_was_there(value, kept, mode):
    current = stored()
    replaced = replace(body_of(current, events_requested=value), current, mode)
    assert replaced == editable(current, events_requested=kept)


# ------------------------------------------------------------------ delivery


def test_a_missing_delivery_is_refused_when_required():
    current = stored()
    error = refusal(body_of(current, "delivery"), current)
    assert error.field == "delivery"
    assert isinstance(error, MalformedStreamConfiguration)


def test_a_missing_delivery_becomes_poll_to_the_letter():
    current = stored()
    replaced = replace(body_of(current, "delivery"), current, DELETE)
    assert (replaced.delivery.method, replaced.delivery.authorization_header) == (
        DeliveryMethod.POLL,
        None,
    )
    assert replaced == editable(current, delivery=replaced.delivery)


@both_modes
@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "push",
        1,
        {},
        {"endpoint_url": URL},
        {"method": "push", "endpoint_url": URL},
        {"method": None, "endpoint_url": URL},
        {"method": 8935, "endpoint_url": URL},
        {"method": PUSH},
        {"method": OLD_PUSH, "endpoint_url": None},
        {"method": OLD_PUSH, "endpoint_url": 1},
        {"method": PUSH, "endpoint_url": URL, "authorization_header": "a\r\nb: c"},
        {"method": PUSH, "endpoint_url": URL, "authorization_header": 1},
        {"method": POLL, "authorization_header": "Bearer x"},
        {"method": POLL, "endpoint_url": 1},
        {"method": PUSH, "delivery_method": OLD_POLL, "endpoint_url": URL},
        {"method": PUSH, "endpoint_url": URL, "url": URL + "/other"},
    ],
    ids=str,
)
def test_a_bad_delivery_is_refused(value, mode):
    current = stored()
    error = refusal(body_of(current, delivery=value), current, mode)
    assert str(error.field).startswith("delivery")


@pytest.mark.parametrize("url_name", ["endpoint_url", "url"])
@pytest.mark.parametrize("method_name", ["method", "delivery_method"])
@pytest.mark.parametrize("method", [PUSH, OLD_PUSH])
def test_a_delivery_is_understood_under_every_name(method, method_name, url_name):
    current = stored()
    other = "https://rcv.example/other"
    body = body_of(current, delivery={method_name: method, url_name: other})
    delivery = replace(body, current, REJECT).delivery
    assert (delivery.method, delivery.endpoint_url) == (DeliveryMethod.PUSH, other)


def test_delivery_is_replaced_whole():
    current = stored()
    body = body_of(current, delivery={"method": OLD_PUSH, "endpoint_url": URL})
    assert replace(body, current, REJECT).delivery.authorization_header is None


@pytest.mark.parametrize("further", [{}, {"endpoint_url": None}, {"endpoint_url": POLL_URL}])
@pytest.mark.parametrize("method", [POLL, OLD_POLL])
def test_a_poll_url_may_be_left_out_be_null_or_come_back(method, further):
    current = stored(delivery=POLL_DELIVERY)
    body = body_of(current, delivery={"method": method, "unknown": 1, **further})
    assert replace(body, current, REJECT).delivery.method is DeliveryMethod.POLL


# ------------------------------------------------------------------ format


@both_modes
def test_a_missing_format_is_deleted(mode):
    current = stored()
    assert replace(body_of(current, "format"), current, mode) == editable(current, format=None)


@both_modes
def test_a_null_format_is_deleted(mode):
    current = stored()
    assert replace(body_of(current, format=None), current, mode) == editable(current, format=None)


@both_modes
@pytest.mark.parametrize("value", sorted(FORMAT_NAMES))
def test_a_known_format_replaces(value, mode):
    current = stored()
    assert replace(body_of(current, format=value), current, mode) == editable(current, format=value)


@both_modes
@pytest.mark.parametrize("value", [1, True, [], {}, "", "Email", "catalog_item"], ids=repr)
def test_a_bad_format_is_refused(value, mode):
    current = stored()
    assert refusal(body_of(current, format=value), current, mode).field == "format"


def test_subject_type_is_an_old_name_of_format():
    current = stored(format=None)
    assert replace(body_of(current, subject_type="iss-sub"), current, REJECT) == editable(
        current, format="iss_sub"
    )


def test_a_bad_subject_type_is_refused():
    current = stored(format=None)
    error = refusal(body_of(current, subject_type="catalog_item"), current)
    assert isinstance(error, UnknownSubjectFormat)


# ------------------------------------------------------------------ anything else


@both_modes
@pytest.mark.parametrize("value", [None, 1, "x", [], {"iss": "other"}], ids=str)
@pytest.mark.parametrize("name", ["foo", "status", "inactivity_timeout", "spec_version", ""])
def test_any_other_member_is_ignored(name, value, mode):
    current = stored()
    assert replace(body_of(current, **{name: value}), current, mode) == editable(current)


@both_modes
def test_a_description_can_neither_be_changed_nor_deleted_through_this_profile(mode):
    current = stored()
    for body in (body_of(current), body_of(current, description="Theirs")):
        assert replace(body, current, mode).description == "Mine"


# ------------------------------------------------------------------ order of checks


@pytest.mark.parametrize(
    ("name", "value"),
    [("events_requested", "u:1"), ("delivery", "push"), ("format", 1)],
    ids=str,
)
def test_a_wrong_type_is_refused_before_a_read_only_property_is_compared(name, value):
    current = stored()
    body = body_of(current, aud="https://other.example", **{name: value})
    assert refusal(body, current).field == name


@pytest.mark.parametrize("name", READ_ONLY)
@pytest.mark.parametrize(
    ("editable_name", "value"),
    [
        ("format", "catalog_item"),
        ("delivery", {"method": "urn:other", "endpoint_url": URL}),
        ("delivery", {"method": PUSH}),
        ("delivery", {"method": POLL, "authorization_header": "Bearer x"}),
    ],
    ids=str,
)
def test_a_read_only_property_is_compared_before_an_editable_one_is_judged(
    name, editable_name, value
):
    current = stored()
    wrong: Any = 7 if name == "min_verification_interval" else ["urn:other"]
    body = body_of(current, **{name: wrong if name != "iss" else "other", editable_name: value})
    assert refusal(body, current).field == name


# ------------------------------------------------------------------ the example rows


@pytest.mark.parametrize(
    ("body", "requested_then", "delivered_then", "format_then"),
    [
        pytest.param(
            {
                "events_requested": ["u:2", "u:3", "u:4", "u:3"],
                "events_delivered": ["u:2"],
                "format": "email",
            },
            ("u:2", "u:3", "u:4"),
            ("u:2", "u:3"),
            "email",
            id="requested [2,3,4,3], delivered [2], format email",
        ),
        pytest.param(
            {"events_requested": ["u:2", "u:3"]},
            ("u:2", "u:3"),
            ("u:2", "u:3"),
            None,
            id="requested [2,3], no format",
        ),
        pytest.param(
            {"events_requested": ["u:2"], "events_supported": ["u:3", "u:2", "u:1"]},
            ("u:2",),
            ("u:2",),
            None,
            id="requested [2], supported [3,2,1]",
        ),
        pytest.param({"events_requested": [], "foo": 1}, (), (), None, id="requested [], foo 1"),
    ],
)
@both_modes
def test_an_example_row_is_accepted(body, requested_then, delivered_then, format_then, mode):
    delivery = {"method": OLD_PUSH, "endpoint_url": URL}
    replaced = replace({**body, "delivery": delivery}, stored(), mode)
    assert replaced.events_requested == requested_then
    assert events_delivered(SUPPORTED, replaced.events_requested or ()) == delivered_then
    assert replaced.format == format_then


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(
            {"events_requested": ["u:3"], "events_delivered": ["u:3"]},
            "events_delivered",
            id="requested [3], delivered [3]",
        ),
        pytest.param(
            {"events_requested": ["u:2"], "aud": "https://other.example"},
            "aud",
            id="requested [2], aud other",
        ),
    ],
)
@both_modes
def test_an_example_row_is_refused(body, field, mode):
    delivery = {"method": OLD_PUSH, "endpoint_url": URL}
    assert refusal({**body, "delivery": delivery}, mode=mode).field == field


def test_the_example_row_with_only_a_format_depends_on_what_missing_means():
    assert refusal({"format": "email"}).field in ("events_requested", "delivery")
    replaced = replace({"format": "email"}, stored(), DELETE)
    assert (replaced.events_requested, replaced.delivery.method, replaced.format) == (
        (),
        DeliveryMethod.POLL,
        "email",
    )


# ------------------------------------------------------------------ read, modify, replace

uris = st.sampled_from([*SUPPORTED, "u:4", "u:5", "https://events.example/ä"])
uri_lists = st.lists(uris, max_size=6)
headers = st.none() | st.from_regex(r"[!-~]([ -~]{0,10}[!-~])?", fullmatch=True)
deliveries = st.just(POLL_DELIVERY) | st.builds(
    Delivery,
    method=st.just(DeliveryMethod.PUSH),
    endpoint_url=st.from_regex(r"https://rcv\.example/[a-z]{0,5}", fullmatch=True),
    authorization_header=headers,
)
formats = st.none() | st.sampled_from(sorted(FORMAT_NAMES))


@st.composite
def configurations(draw: st.DrawFn) -> StreamConfiguration:
    supported = tuple(draw(st.lists(uris, max_size=5, unique=True)))
    asked = tuple(draw(st.lists(uris, max_size=6, unique=True)))
    return stored(
        aud=tuple(draw(st.lists(st.text(min_size=1, max_size=9), min_size=1, unique=True))),
        events_supported=supported,
        events_requested=asked,
        events_delivered=events_delivered(supported, asked),
        delivery=draw(deliveries),
        min_verification_interval=draw(st.none() | st.integers(min_value=0, max_value=86_400)),
        description=draw(st.none() | st.text(max_size=9)),
        format=draw(formats),
    )


modes = st.sampled_from(MissingRequired)


@given(configurations(), modes)
def test_posting_back_what_was_read_changes_nothing(current, mode):
    assert replace(current.to_sse_v1(), current, mode) == editable(current)


@given(configurations(), uri_lists, modes)
def test_changing_events_requested_changes_nothing_else(current, asked, mode):
    body = {**current.to_sse_v1(), "events_requested": asked}
    assert replace(body, current, mode) == editable(
        current, events_requested=tuple(dict.fromkeys(asked))
    )


@given(configurations(), deliveries, st.booleans(), modes)
def test_changing_the_delivery_changes_nothing_else(current, delivery, legacy_uris, mode):
    wire = delivery.to_wire(legacy_method_uris=legacy_uris)
    body = {**current.to_sse_v1(), "delivery": wire}
    assert replace(body, current, mode) == editable(current, delivery=requested(delivery))


@given(configurations(), formats, st.booleans(), modes)
def test_changing_the_format_changes_nothing_else(current, wanted, left_out, mode):
    body = {**current.to_sse_v1(), "format": wanted}
    if wanted is None and left_out:
        del body["format"]
    assert replace(body, current, mode) == editable(current, format=wanted)


@given(configurations(), st.sampled_from(READ_ONLY), modes)
def test_one_changed_read_only_property_spoils_everything(current, name, mode):
    shown = current.to_sse_v1()
    other: Any = 86_401 if name == "min_verification_interval" else "urn:nobody's"
    error = refusal({**shown, name: other, "events_requested": ["u:1"]}, current, mode)
    assert (type(error), error.field) == (ReadOnlyMismatch, name)


@given(configurations(), modes)
def test_the_body_is_left_as_it_is(current, mode):
    body = current.to_sse_v1()
    before = copy.deepcopy(body)
    replace(body, current, mode)
    assert body == before
