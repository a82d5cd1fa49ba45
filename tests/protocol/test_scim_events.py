"""RFC 9967: what SCIM events demand beyond the types of their members."""

from typing import Any

import pytest

from ssf.protocol.errors import MalformedEvent, MalformedSubject
from ssf.protocol.event_types import EVENT_CLASSES, SCIM_EVENT_TYPE_URIS, find_event_type
from ssf.protocol.events import parse_event
from ssf.protocol.scim_events import AsyncResponse, CreatedInFull, PatchedInFull, PutInFull
from ssf.protocol.subjects import parse_subject

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
FULL = ("prov:create:full", "prov:patch:full", "prov:put:full")
NOTICE = ("prov:create:notice", "prov:patch:notice", "prov:put:notice")
ERROR = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "404"}


def example(name: str) -> dict[str, Any]:
    return dict(EVENT_CLASSES[find_event_type(name).uri].example)


def refused_field(name: str, payload: dict[str, Any], *, strict: bool = True) -> str:
    """Path of what is refused, from the payload on."""
    uri = find_event_type(name).uri
    with pytest.raises(MalformedEvent) as caught:
        parse_event(uri, payload, strict=strict)
    return caught.value.field.removeprefix(f"events.{uri}.")


@pytest.mark.parametrize("uri", SCIM_EVENT_TYPE_URIS)
def test_the_subject_is_a_scim_resource_and_nothing_else(uri):
    event_class = EVENT_CLASSES[uri]
    for subject in (
        {"format": "scim", "uri": "/Users/2b2f", "externalId": "jdoe"},
        {"format": "scim", "uri": "/Groups/1", "id": "1", "userName": "jdoe"},
    ):
        event_class.require_subject(parse_subject(subject))
    for other in (
        {"format": "email", "email": "user@example.com"},
        {"format": "uri", "uri": "https://scim.example/Users/2b2f"},
        {"format": "complex", "user": {"format": "scim", "uri": "/Users/2b2f"}},
    ):
        with pytest.raises(MalformedSubject) as caught:
            event_class.require_subject(parse_subject(other))
        assert caught.value.field == "subject.format"


@pytest.mark.parametrize("uri", SCIM_EVENT_TYPE_URIS)
@pytest.mark.parametrize("member", ["sub_id", "subject"])
def test_the_subject_is_never_inside_of_the_event(uri, member):
    payload = {**EVENT_CLASSES[uri].example, member: {"format": "scim", "uri": "/Users/1"}}
    assert refused_field(uri, payload) == member
    assert parse_event(uri, payload, strict=False).to_payload() == payload


@pytest.mark.parametrize("name", FULL)
def test_a_full_event_has_data_and_no_attributes(name):
    assert refused_field(name, {"attributes": ["userName"]}) == "data"
    assert refused_field(name, {**example(name), "attributes": []}) == "attributes"
    assert refused_field(name, {}, strict=False) == "data"
    assert refused_field(name, {"data": [1]}) == "data"


@pytest.mark.parametrize("name", NOTICE)
def test_a_notice_has_attributes_and_no_data(name):
    assert refused_field(name, {"data": {"userName": "jdoe"}}) == "attributes"
    assert refused_field(name, {**example(name), "data": {}}) == "data"
    assert refused_field(name, {}, strict=False) == "attributes"
    assert refused_field(name, {"attributes": "userName"}) == "attributes"
    assert refused_field(name, {"attributes": ["userName", 5]}) == "attributes[1]"


@pytest.mark.parametrize("name", NOTICE)
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
def test_a_notice_may_name_no_attribute(name, strict):
    event = parse_event(find_event_type(name).uri, {"attributes": []}, strict=strict)
    assert event.to_payload() == {"attributes": []}


@pytest.mark.parametrize("name", FULL + NOTICE)
def test_what_a_peer_says_twice_is_read_on_receipt(name):
    payload = {**example(name), "data": {"Operations": []}, "attributes": ["x"]}
    assert parse_event(find_event_type(name).uri, payload, strict=False).to_payload() == payload


@pytest.mark.parametrize(
    "data", [{}, {"userName": "x"}, {"Operations": {}}, {"Operations": "add"}, {"Operations": None}]
)
def test_the_data_of_a_patch_is_a_patchop_message(data):
    assert refused_field("prov:patch:full", {"data": data}) == "data.Operations"
    assert PatchedInFull.from_payload({"data": data}, strict=False).data == data


@pytest.mark.parametrize("status", [200, 404.0, None, True, ["200"]])
def test_the_status_of_a_response_is_a_string(status):
    payload = {"method": "PUT", "status": status}
    assert refused_field("misc:asyncresp", payload) == "status"
    assert refused_field("misc:asyncresp", payload, strict=False) == "status"


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
@pytest.mark.parametrize("status", ["400", "404", "499", "500", "599"])
def test_a_response_is_required_when_the_status_is_an_error(status, strict):
    payload = {"method": "PUT", "status": status}
    assert refused_field("misc:asyncresp", payload, strict=strict) == "response"
    event = AsyncResponse.from_payload({**payload, "response": ERROR}, strict=strict)
    assert event.response == ERROR


@pytest.mark.parametrize("status", ["100", "200", "204", "301", "399"])
def test_a_response_is_not_required_when_the_status_is_no_error(status):
    assert AsyncResponse.from_payload({"method": "PUT", "status": status}).response is None


def test_bulk_id_is_written_in_camel_case_on_the_wire():
    payload = {"method": "POST", "status": "201", "bulkId": "qwerty"}
    event = AsyncResponse.from_payload(payload)
    assert event.bulk_id == "qwerty"
    assert event.to_payload() == payload


# ---------------------------------------------------------------- passwords

ADD_MEMBER = {"op": "add", "path": "members", "value": []}

STRIPPED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"userName": "j", "password": "t0p"}, {"userName": "j"}),
    ({"userName": "j", "PassWord": "t0p"}, {"userName": "j"}),
    ({"userName": "j", f"{USER}:password": "t0p"}, {"userName": "j"}),
    ({USER: {"password": "t0p", "userName": "j"}}, {USER: {"userName": "j"}}),
    ({"password": None}, {}),
    ({"passwordHint": "none", "name": {"password": "a name"}}, {"passwordHint": "none", "name": {"password": "a name"}}),
]  # fmt: skip

STRIPPED_OPERATIONS: list[tuple[Any, list[Any]]] = [
    ({"op": "replace", "path": "password", "value": "t0p"}, []),
    ({"op": "replace", "path": "Password", "value": "t0p"}, []),
    ({"op": "replace", "path": f"{USER}:password", "value": "t0p"}, []),
    ({"Op": "replace", "Path": " password ", "Value": "t0p"}, []),
    ({"op": "remove", "path": "password"}, []),
    ({"op": "replace", "value": {"password": "t0p"}}, []),
    (
        {"op": "replace", "value": {"password": "t0p", "active": True}},
        [{"op": "replace", "value": {"active": True}}],
    ),
    ({"op": "add", "path": USER, "value": {"password": "t0p"}}, []),
    (
        {"op": "add", "value": {f"{USER}:password": "t0p", "a": 1}},
        [{"op": "add", "value": {"a": 1}}],
    ),
    ({"op": "add", "path": "name", "value": {}}, [{"op": "add", "path": "name", "value": {}}]),
    (ADD_MEMBER, [ADD_MEMBER]),
    ("not an operation", ["not an operation"]),
    ({}, [{}]),
]


@pytest.mark.parametrize("event_class", [CreatedInFull, PutInFull])
@pytest.mark.parametrize(("data", "kept"), STRIPPED)
def test_a_password_of_a_resource_is_not_emitted(event_class, data, kept):
    before = repr(data)
    event = event_class.from_payload({"data": data})
    assert event.to_payload() == {"data": kept}
    assert "t0p" not in repr(event)
    assert repr(data) == before
    assert event_class.from_payload(event.to_payload()) == event


@pytest.mark.parametrize(("operation", "kept"), STRIPPED_OPERATIONS)
def test_a_password_in_a_patch_is_not_emitted(operation, kept):
    for name in ("Operations", "operations"):
        event = PatchedInFull.from_payload({"data": {name: [ADD_MEMBER, operation]}})
        assert event.data == {name: [ADD_MEMBER, *kept]}
        assert "t0p" not in repr(event)
        assert PatchedInFull.from_payload(event.to_payload()) == event


def test_a_password_in_the_response_to_a_request_is_not_emitted():
    payload = {"method": "POST", "status": "201", "response": {"id": "1", "password": "t0p"}}
    assert AsyncResponse.from_payload(payload).response == {"id": "1"}


def test_what_was_received_is_left_as_it_came():
    payload = {"data": {"userName": "j", "password": "t0p"}}
    assert CreatedInFull.from_payload(payload, strict=False).to_payload() == payload
