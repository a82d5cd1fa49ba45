"""The configuration of a stream on the wire: SSF 1.0 §6.1, §8.1.1, and the older profile."""

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
    LEGACY_METHOD_URIS,
    METHODS_BY_LEGACY_URI,
    SSE_V1_READ_ONLY,
    SSE_V1_WRITABLE,
    SSF_1_0_READ_ONLY,
    SSF_1_0_WRITABLE,
    Delivery,
    DeliveryMethod,
    RequestedDelivery,
    StreamConfiguration,
    parse_delivery,
    parse_description,
    parse_events_requested,
    parse_format,
    parse_stream_id,
    require_unreserved,
)

PUSH = "urn:ietf:rfc:8935"
POLL = "urn:ietf:rfc:8936"
OLD_PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
OLD_POLL = "https://schemas.openid.net/secevent/risc/delivery-method/poll"
URL = "https://rcv.example/events"


def refusal(value: object, **options: Any) -> MalformedStreamConfiguration:
    with pytest.raises(MalformedStreamConfiguration) as caught:
        parse_delivery(value, **options)
    return caught.value


@pytest.mark.parametrize("legacy_names", [True, False])
@pytest.mark.parametrize("method", [PUSH, OLD_PUSH])
def test_push_is_understood_by_either_uri(method, legacy_names):
    value = {"method": method, "endpoint_url": URL, "authorization_header": "Bearer x"}
    assert parse_delivery(value, legacy_names=legacy_names) == RequestedDelivery(
        method=DeliveryMethod.PUSH, endpoint_url=URL, authorization_header="Bearer x"
    )


@pytest.mark.parametrize("method", [POLL, OLD_POLL])
@pytest.mark.parametrize(
    ("further", "endpoint_url"),
    [({}, None), ({"endpoint_url": None}, None), ({"endpoint_url": URL}, URL), ({"x": 1}, None)],
)
def test_poll_needs_no_url_and_keeps_one_that_is_sent(method, further, endpoint_url):
    assert parse_delivery({"method": method, **further}) == RequestedDelivery(
        method=DeliveryMethod.POLL, endpoint_url=endpoint_url, authorization_header=None
    )


@pytest.mark.parametrize(
    ("value", "field"),
    [
        pytest.param(None, "delivery", id="null"),
        pytest.param([], "delivery", id="array"),
        pytest.param("push", "delivery", id="string"),
        pytest.param({}, "delivery.method", id="no method"),
        pytest.param({"method": None}, "delivery.method", id="method null"),
        pytest.param({"method": "push"}, "delivery.method", id="method unknown"),
        pytest.param({"method": PUSH.upper(), "endpoint_url": URL}, "delivery.method", id="method case"),
        pytest.param({"method": PUSH}, "delivery.endpoint_url", id="push without URL"),
        pytest.param({"method": PUSH, "endpoint_url": None}, "delivery.endpoint_url", id="push with null"),
        pytest.param({"method": PUSH, "endpoint_url": ""}, "delivery.endpoint_url", id="URL empty"),
        pytest.param({"method": PUSH, "endpoint_url": 1}, "delivery.endpoint_url", id="URL number"),
        pytest.param({"method": PUSH, "endpoint_url": "https://h/" + "x" * 2039}, "delivery.endpoint_url", id="URL of 2049"),
        pytest.param({"method": PUSH, "endpoint_url": "https://h/\r\n"}, "delivery.endpoint_url", id="URL with line break"),
        pytest.param({"method": POLL, "endpoint_url": 1}, "delivery.endpoint_url", id="poll URL number"),
        pytest.param({"method": POLL, "authorization_header": "x"}, "delivery.authorization_header", id="poll with header"),
        pytest.param({"method": PUSH, "endpoint_url": URL, "authorization_header": 1}, "delivery.authorization_header", id="header number"),
        pytest.param({"delivery_method": PUSH, "endpoint_url": URL}, "delivery.method", id="old names not asked for"),
    ],
)  # fmt: skip
def test_a_malformed_delivery_is_refused_and_the_member_named(value, field):
    assert refusal(value).field == field


def test_2048_characters_are_the_limit_of_a_url():
    url = "https://h/" + "x" * 2038
    assert parse_delivery({"method": PUSH, "endpoint_url": url}).endpoint_url == url


@pytest.mark.parametrize(
    "value",
    [
        {"delivery_method": OLD_PUSH, "url": URL},
        {"method": PUSH, "url": URL},
        {"method": PUSH, "delivery_method": OLD_PUSH, "url": URL, "endpoint_url": URL},
    ],
)
def test_the_older_profile_understands_delivery_method_and_url(value):
    parsed = parse_delivery(value, legacy_names=True)
    assert (parsed.method, parsed.endpoint_url) == (DeliveryMethod.PUSH, URL)


@pytest.mark.parametrize(
    "value",
    [
        {"method": PUSH, "delivery_method": OLD_POLL, "endpoint_url": URL},
        {"method": PUSH, "endpoint_url": URL, "url": URL + "/"},
    ],
)
def test_an_old_name_that_contradicts_the_new_one_is_refused(value):
    assert "contradicts" in refusal(value, legacy_names=True).reason


@pytest.mark.parametrize(
    "value", ["x", "Bearer abc", "Basic dTpw", "a\tb", "a  b", "~!", "x" * 4096]
)
def test_a_header_value_of_visible_ascii_is_kept_exactly(value):
    parsed = parse_delivery({"method": PUSH, "endpoint_url": URL, "authorization_header": value})
    assert parsed.authorization_header == value


@pytest.mark.parametrize(
    "value",
    ["", " x", "x ", "x\t", "\tx", "a\r\nX-Evil: 1", "a\nb", "x\n", "a\x00b", "\x7f", "\u00e4", "\ud800", "x" * 4097],
)  # fmt: skip
def test_what_would_break_or_change_in_a_header_is_refused(value):
    error = refusal({"method": PUSH, "endpoint_url": URL, "authorization_header": value})
    assert error.field == "delivery.authorization_header"


def test_a_refused_header_is_not_quoted_in_the_error():
    delivery = {"method": PUSH, "endpoint_url": URL, "authorization_header": "Bearer hunter2\n"}
    assert "hunter2" not in str(refusal(delivery))
    assert "hunter2" not in str(refusal({**delivery, "method": POLL}))


@given(st.text(max_size=40))
def test_a_header_is_accepted_exactly_when_it_survives_http_unchanged(value):
    survives = (
        value != ""
        and value == value.strip(" \t")
        and all(char == "\t" or " " <= char <= "~" for char in value)
    )
    delivery = {"method": PUSH, "endpoint_url": URL, "authorization_header": value}
    try:
        accepted = parse_delivery(delivery).authorization_header == value
    except ProtocolError:
        accepted = False
    assert accepted is survives


@given(
    st.sampled_from([PUSH, OLD_PUSH]),
    st.from_regex("https://[a-z]{1,9}/[a-z]{0,9}", fullmatch=True),
    st.none() | st.from_regex("[!-~]{1,20}", fullmatch=True),
)
def test_a_delivery_shown_in_either_dialect_is_read_back_the_same(method, url, header):
    value = {"method": method, "endpoint_url": url, "authorization_header": header}
    parsed = parse_delivery(value)
    shown = Delivery(
        method=parsed.method,
        endpoint_url=parsed.endpoint_url,
        authorization_header=parsed.authorization_header,
    )
    for legacy in (True, False):
        wire = shown.to_wire(legacy_method_uris=legacy)
        assert parse_delivery(wire, legacy_names=legacy) == parsed


def test_a_url_that_is_not_known_is_not_shown():
    assert Delivery(method=DeliveryMethod.POLL, endpoint_url=None).to_wire() == {"method": POLL}


def test_a_secret_is_not_in_the_repr():
    parsed = parse_delivery({"method": PUSH, "endpoint_url": URL, "authorization_header": "s3cret"})
    shown = Delivery(method=parsed.method, endpoint_url=URL, authorization_header="s3cret")
    assert "s3cret" not in repr(parsed) + repr(shown)


def test_method_uris_translate_both_ways():
    assert {LEGACY_METHOD_URIS[method] for method in DeliveryMethod} == {OLD_PUSH, OLD_POLL}
    for method in DeliveryMethod:
        assert METHODS_BY_LEGACY_URI[LEGACY_METHOD_URIS[method]] is method


def test_events_requested_keep_their_first_seen_order_once_each_supported_or_not():
    assert parse_events_requested(["u:3", "u:2", "u:4", "u:3"]) == ("u:3", "u:2", "u:4")
    assert parse_events_requested([]) == ()


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "events_requested"),
        ("u:1", "events_requested"),
        ({}, "events_requested"),
        ([1], "events_requested[0]"),
        (["u:1", ""], "events_requested[1]"),
        ([None], "events_requested[0]"),
        (["u:\n"], "events_requested[0]"),
        (["x" * 1025], "events_requested[0]"),
        (["u:1"] * 1001, "events_requested"),
    ],
)
def test_events_requested_are_an_array_of_texts(value, field):
    with pytest.raises(MalformedStreamConfiguration) as caught:
        parse_events_requested(value)
    assert caught.value.field == field


def test_the_limits_of_events_requested_are_inclusive():
    assert len(parse_events_requested([f"u:{n}" for n in range(1000)])) == 1000
    assert parse_events_requested(["x" * 1024])


def test_a_description_is_a_text_or_none():
    assert parse_description(None) is None
    assert parse_description("") == ""
    assert parse_description("B\u00fcro \U0001f600") == "B\u00fcro \U0001f600"
    assert parse_description("x" * 1024)


@pytest.mark.parametrize(
    "value",
    [1, [], {}, True, "x" * 1025, "a\nb", "a\x00", "\u202egnp.exe", "a\u2066b", "\ufeff", "\ud800"],
)
def test_a_description_that_could_deceive_an_operator_is_refused(value):
    with pytest.raises(MalformedStreamConfiguration):
        parse_description(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None), ("email", "email"), ("iss_sub", "iss_sub"), ("iss-sub", "iss_sub"),
        ("phone", "phone_number"), ("aliases", "aliases"), ("complex", "complex"),
        ("ip-addresses", "ip-addresses"), ("scim", "scim"), ("jwt-id", "jwt_id"),
    ],
)  # fmt: skip
def test_a_wanted_format_is_a_known_one_in_todays_spelling(value, expected):
    assert parse_format(value) == expected


@pytest.mark.parametrize("value", ["", "Email", "catalog_item", "x" * 9999])
def test_an_unknown_wanted_format_is_refused(value):
    with pytest.raises(UnknownSubjectFormat):
        parse_format(value)


@pytest.mark.parametrize("value", [1, [], {}, False])
def test_a_wanted_format_is_a_string(value):
    with pytest.raises(MalformedStreamConfiguration):
        parse_format(value)


def test_a_stream_id_we_are_asked_for_may_be_any_text_but_ours_are_unreserved():
    assert parse_stream_id("a/b c") == "a/b c"
    assert require_unreserved("Az09-._~") == "Az09-._~"
    for value in ("a/b", "\u00e4", "a b", "a\n", "", "x" * 256):
        with pytest.raises(MalformedStreamConfiguration):
            require_unreserved(value)
    nothings: list[object] = [None, 1, "", [], "x" * 256]
    for nothing in nothings:
        with pytest.raises(MalformedStreamConfiguration):
            parse_stream_id(nothing)


def configuration(**changes: Any) -> StreamConfiguration:
    values: dict[str, Any] = {
        "stream_id": "s1",
        "iss": "https://tr.example",
        "aud": ("https://rcv.example",),
        "events_supported": ("u:1", "u:2"),
        "events_requested": ("u:2", "u:3"),
        "events_delivered": ("u:2",),
        "delivery": Delivery(
            method=DeliveryMethod.PUSH, endpoint_url=URL, authorization_header="Bearer x"
        ),
        "min_verification_interval": 60,
        "description": "Mine",
    }
    return StreamConfiguration(**(values | changes))


def test_ssf_1_0_shows_every_property_it_knows():
    assert configuration(inactivity_timeout=3600, format="email").to_ssf_1_0() == {
        "stream_id": "s1",
        "iss": "https://tr.example",
        "aud": "https://rcv.example",
        "events_supported": ["u:1", "u:2"],
        "events_requested": ["u:2", "u:3"],
        "events_delivered": ["u:2"],
        "delivery": {"method": PUSH, "endpoint_url": URL, "authorization_header": "Bearer x"},
        "min_verification_interval": 60,
        "description": "Mine",
        "inactivity_timeout": 3600,
    }


def test_the_older_profile_shows_no_stream_id_and_the_old_method_uri():
    assert configuration(inactivity_timeout=3600, format="email").to_sse_v1() == {
        "iss": "https://tr.example",
        "aud": "https://rcv.example",
        "events_supported": ["u:1", "u:2"],
        "events_requested": ["u:2", "u:3"],
        "events_delivered": ["u:2"],
        "delivery": {"method": OLD_PUSH, "endpoint_url": URL, "authorization_header": "Bearer x"},
        "min_verification_interval": 60,
        "format": "email",
    }


def test_what_is_none_is_left_out_and_events_delivered_is_shown_even_when_empty():
    bare = configuration(
        events_requested=None, events_delivered=(), min_verification_interval=None,
        description=None, delivery=Delivery(method=DeliveryMethod.POLL, endpoint_url=URL),
    )  # fmt: skip
    for shown in (bare.to_ssf_1_0(), bare.to_sse_v1()):
        assert shown["events_delivered"] == []
        assert set(shown) - {"stream_id", "events_requested"} == {
            "iss", "aud", "events_supported", "events_delivered", "delivery"
        }  # fmt: skip
        assert set(shown["delivery"]) == {"method", "endpoint_url"}
    assert "events_requested" not in bare.to_ssf_1_0()
    # The older profile replaces what was read, and requires the property.
    assert bare.to_sse_v1()["events_requested"] == []
    assert configuration(events_requested=()).to_ssf_1_0()["events_requested"] == []


def test_several_audiences_are_shown_as_an_array():
    assert configuration(aud=("a", "b")).to_ssf_1_0()["aud"] == ["a", "b"]


def test_writable_and_read_only_properties_do_not_overlap_and_cover_what_is_shown():
    shown = configuration(inactivity_timeout=1, format="email")
    assert {*SSF_1_0_WRITABLE, *SSF_1_0_READ_ONLY, "stream_id"} == set(shown.to_ssf_1_0())
    assert {*SSE_V1_WRITABLE, *SSE_V1_READ_ONLY} == {*shown.to_sse_v1(), "stream_id"}
    assert not set(SSF_1_0_WRITABLE) & set(SSF_1_0_READ_ONLY)
    assert not set(SSE_V1_WRITABLE) & set(SSE_V1_READ_ONLY)
