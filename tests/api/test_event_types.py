"""`/admin/v1/event-types`: the catalogue, types of the operator's own, and what is on offer."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from ssf.protocol.event_types import EVENT_TYPES, OAUTH_EVENT_TYPE_URIS
from ssf.protocol.events import example_payload, example_subject
from ssf.rules.event_types import MAX_CUSTOM_EVENT_TYPES
from ssf.store.database import Database
from ssf.store.schema import event_types
from tests.api.test_ssf_poll import poll, polled_claims
from tests.api.test_ssf_streams import everything
from tests.clients import (
    EVERYTHING_ON_OFFER,
    SESSION_REVOKED,
    SUBJECT,
    ReceiverUnderTest,
    TransmitterUnderTest,
    client_of,
    running_transmitter,
)
from tests.fakes import FakeClock

EVENT_TYPES_PATH = "/admin/v1/event-types"
DOOR = "https://example.com/events/door-opened"
DOOR_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["door"],
    "properties": {
        "door": {"type": "string", "pattern": "^[A-Z][0-9]+$"},
        "kind": {"enum": ["front", "back"]},
        "guests": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        "inner": {"$ref": "#"},
    },
    "additionalProperties": False,
    "examples": [{"door": 5}, {"door": "A1"}],
}


async def register(
    transmitter: TransmitterUnderTest, uri: str = DOOR, **more: Any
) -> dict[str, Any]:
    response = await transmitter.http.post(EVENT_TYPES_PATH, json={"uri": uri, **more})
    assert response.status_code == 201, response.text
    added: dict[str, Any] = response.json()
    return added


async def unregister(transmitter: TransmitterUnderTest, event_type: str = DOOR) -> None:
    response = await transmitter.http.delete(EVENT_TYPES_PATH, params={"type": event_type})
    assert (response.status_code, response.content) == (204, b"")


async def catalogue(transmitter: TransmitterUnderTest, **query: Any) -> list[dict[str, Any]]:
    """Every event type, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        response = await transmitter.http.get(EVENT_TYPES_PATH, params=query)
        assert response.status_code == 200, response.text
        page = response.json()
        found += page["event_types"]
        if "next" not in page:
            return found
        query["after"] = page["next"]


async def shown(transmitter: TransmitterUnderTest, event_type: str) -> dict[str, Any]:
    response = await transmitter.http.get(EVENT_TYPES_PATH, params={"type": event_type})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def emitted(
    transmitter: TransmitterUnderTest, event_type: str = DOOR, **more: Any
) -> httpx.Response:
    body = {"event_type": event_type, "subject": SUBJECT, **more}
    return await transmitter.http.post("/admin/v1/events", json=body)


async def refused_event(
    transmitter: TransmitterUnderTest, event_type: str = DOOR, **more: Any
) -> tuple[str, str]:
    """Code and field of the 400 that an event is answered with; nothing is stored."""
    before = await everything(transmitter)
    response = await emitted(transmitter, event_type, **more)
    assert response.status_code == 400, response.text
    assert await everything(transmitter) == before
    answer = response.json()
    return answer["err"], answer["field"]


async def configured(receiver: ReceiverUnderTest) -> dict[str, Any]:
    """The configuration of the receiver's only stream."""
    (stream,) = (await receiver.http.get("/ssf/v1/streams")).json()
    found: dict[str, Any] = stream
    return found


# ---------------------------------------------------------------- the catalogue


async def test_the_catalogue_lists_every_family_and_then_ones_own(
    transmitter: TransmitterUnderTest,
):
    await register(transmitter, "https://example.com/z")
    await register(transmitter, "https://example.com/a")
    found = await catalogue(transmitter, limit=200)
    specified = [uri for uri in EVENT_TYPES if uri not in OAUTH_EVENT_TYPE_URIS]
    own = ["https://example.com/z", "https://example.com/a"]
    assert [one["uri"] for one in found] == [*specified, *own]
    assert [one["family"] for one in found[-3:]] == ["scim", "custom", "custom"]
    for limit in (1, 7, len(found) - 1, len(found)):
        assert await catalogue(transmitter, limit=limit) == found, limit


async def test_an_event_type_is_shown_by_its_uri_and_by_its_name(
    transmitter: TransmitterUnderTest,
):
    added = await register(transmitter, schema=DOOR_SCHEMA)
    for one in await catalogue(transmitter):
        assert await shown(transmitter, one["uri"]) == one
        assert await shown(transmitter, one["name"]) == one
    assert await shown(transmitter, DOOR) == added


async def test_an_event_type_is_shown_with_all_that_is_needed_to_emit_it(
    transmitter: TransmitterUnderTest,
):
    assert await shown(transmitter, "sessions-revoked") == {
        "uri": "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
        "name": "sessions-revoked",
        "family": "risc",
        "deprecated": True,
        "emitted_by_producers": True,
        "members": [
            {"name": "event_timestamp", "required": False, "type": "number of seconds"},
            {"name": "initiating_entity", "required": False, "type": "admin|user|policy|system"},
            *(
                {"name": name, "required": False, "type": "object of texts by language tag"}
                for name in ("reason_admin", "reason_user")
            ),
        ],
        "subject_formats": None,
        "example": {},
        "example_subject": {"format": "email", "email": "user@example.com"},
    }
    asyncresp = await shown(transmitter, "misc:asyncresp")
    assert asyncresp["subject_formats"] == ["scim"]
    assert asyncresp["example"] == {"method": "PUT", "status": "200"}
    assert asyncresp["members"][0] == {"name": "method", "required": True, "type": "string"}
    assert (await shown(transmitter, "verification"))["emitted_by_producers"] is False


async def test_every_example_of_the_catalogue_is_taken_in(transmitter: TransmitterUnderTest):
    await register(transmitter, schema=DOOR_SCHEMA)
    for one in await catalogue(transmitter):
        response = await emitted(
            transmitter, one["name"], subject=one["example_subject"], payload=one["example"]
        )
        assert response.status_code == (202 if one["emitted_by_producers"] else 400), one["uri"]


async def test_an_own_type_is_shown_with_the_members_of_its_schema(
    transmitter: TransmitterUnderTest,
):
    added = await register(transmitter, name="door", schema=DOOR_SCHEMA)
    assert added == {
        "uri": DOOR,
        "name": "door",
        "family": "custom",
        "deprecated": False,
        "emitted_by_producers": True,
        "members": [
            {"name": "door", "required": True, "type": "string"},
            {"name": "kind", "required": False, "type": "any"},
            {"name": "guests", "required": False, "type": "array"},
            {"name": "inner", "required": False, "type": "any"},
        ],
        "subject_formats": None,
        "example": {"door": "A1"},
        "example_subject": {"format": "email", "email": "user@example.com"},
        "schema": DOOR_SCHEMA,
    }
    plain = await register(transmitter, "urn:example:plain")
    assert (plain["name"], plain["members"], plain["example"]) == ("plain", [], {})
    assert "schema" not in plain
    unclear = await register(transmitter, "urn:example:unclear", schema={"required": ["x"]})
    assert unclear["example"] is None
    assert unclear["members"] == [{"name": "x", "required": True, "type": "any"}]
    either = {"properties": {"a": {"type": ["string", "null"]}, "b": True}}
    both = await register(transmitter, "urn:example:either", schema=either)
    assert [member["type"] for member in both["members"]] == ["string|null", "any"]


async def test_what_is_not_there_is_not_found(transmitter: TransmitterUnderTest):
    before = await catalogue(transmitter)
    for name in (
        *("door-opened", DOOR, "Session-Revoked", SESSION_REVOKED.upper(), "token-claims-changed"),
        *("urn:ietf:params:SCIM:event:prov:delete", "token-revoked", OAUTH_EVENT_TYPE_URIS[0]),
    ):
        for method in ("GET", "DELETE"):
            response = await transmitter.http.request(
                method, EVENT_TYPES_PATH, params={"type": name}
            )
            assert response.status_code == 404, (method, name)
            assert response.json()["field"] == "type", (method, name)
    assert await catalogue(transmitter) == before


async def test_a_query_that_names_none_is_refused(transmitter: TransmitterUnderTest):
    before = await catalogue(transmitter)
    for query in ("type=", "type=a&type=b", "type=a%00b", f"type={'x' * 1025}"):
        for method in ("GET", "DELETE"):
            response = await transmitter.http.request(method, f"{EVENT_TYPES_PATH}?{query}")
            assert response.status_code == 400, (method, query)
            assert response.json()["field"] == "type", (method, query)
    assert (await transmitter.http.delete(EVENT_TYPES_PATH)).status_code == 400
    for query in ("limit=0", "limit=201", "after=-1", "after=x"):
        assert (await transmitter.http.get(f"{EVENT_TYPES_PATH}?{query}")).status_code == 400
    assert await catalogue(transmitter) == before


# ---------------------------------------------------------------- registering


async def test_what_may_not_be_registered_is_refused_by_name_and_not_registered(
    transmitter: TransmitterUnderTest,
):
    await register(transmitter)
    before = await catalogue(transmitter)
    sound = {"uri": "https://example.com/events/window-opened"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "uri"),
        ({"uri": 5}, "uri"),
        ({"uri": ""}, "uri"),
        ({"uri": "window-opened"}, "uri"),
        ({"uri": "https://e.com/" + "x" * 1011}, "uri"),
        ({"uri": "https://e.com/a\nb"}, "uri"),
        ({"uri": SESSION_REVOKED}, "uri"),
        ({"uri": OAUTH_EVENT_TYPE_URIS[0]}, "uri"),
        ({"uri": "https://schemas.openid.net/secevent/mine", "name": "mine"}, "uri"),
        ({"uri": "urn:ietf:params:scim:event:sig:pwdReset"}, "uri"),
        ({"uri": "prov:create:full", "name": "mine"}, "uri"),
        ({"uri": "https://example.com/"}, "name"),
        ({**sound, "name": ""}, "name"),
        ({**sound, "name": "a:b"}, "name"),
        ({**sound, "name": 5}, "name"),
        ({**sound, "name": "x" * 65}, "name"),
        ({**sound, "name": "session-revoked"}, "name"),
        ({**sound, "name": "token-revoked"}, "name"),
        ({"uri": "https://example.com/opt-in"}, "name"),
        ({**sound, "schema": []}, "schema"),
        ({**sound, "schema": True}, "schema"),
        ({**sound, "schema": "{}"}, "schema"),
        ({**sound, "extra": 1}, "extra"),
        ({**sound, "payload_schema": {}}, "payload_schema"),
    ]
    for body, field in cases:
        response = await transmitter.http.post(EVENT_TYPES_PATH, json=body)
        assert response.status_code == 400, body
        assert response.json()["field"] == field, body
    assert await catalogue(transmitter) == before


async def test_a_uri_or_a_name_is_registered_once(transmitter: TransmitterUnderTest):
    await register(transmitter)
    before = await catalogue(transmitter)
    for body, field in (
        ({"uri": DOOR}, "uri"),
        ({"uri": DOOR, "name": "another"}, "name"),
        ({"uri": "https://example.org/door-opened"}, "uri"),
        ({"uri": "https://example.org/x", "name": "door-opened"}, "name"),
    ):
        response = await transmitter.http.post(EVENT_TYPES_PATH, json=body)
        assert response.status_code == 409, body
        assert response.json()["err"] == "conflict"
        assert response.json()["field"] == field, body
    assert await catalogue(transmitter) == before


async def test_of_two_requests_for_one_name_one_is_served(transmitter: TransmitterUnderTest):
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(
                transmitter.http.post(EVENT_TYPES_PATH, json={"uri": f"urn:e:{n}", "name": "one"})
            )
            for n in range(4)
        ]
    assert sorted(one.result().status_code for one in asked) == [201, 409, 409, 409]


async def test_there_may_be_so_many_and_not_one_more(
    transmitter: TransmitterUnderTest, database: Database
):
    await register(transmitter)
    async with database.reading() as connection:
        (row,) = (await connection.execute(event_types.select())).all()
    async with database.transaction() as transaction:
        await transaction.execute(
            event_types.insert(),
            [
                {
                    "project_id": row.project_id,
                    "uri": f"urn:example:{count}",
                    "name": f"n{count}",
                    "created_at": 1,
                }
                for count in range(MAX_CUSTOM_EVENT_TYPES - 2)
            ],
        )
    await register(transmitter, "urn:example:last")
    one_more = await transmitter.http.post(EVENT_TYPES_PATH, json={"uri": "urn:example:more"})
    assert one_more.status_code == 409
    await unregister(transmitter)
    await register(transmitter, "urn:example:more")


EVIL_SCHEMAS: dict[str, tuple[dict[str, Any], str]] = {
    "remote": ({"$ref": "http://127.0.0.1:9/schema.json"}, "schema.$ref"),
    "a file": ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "schema.properties.a.$ref"),
    "dynamic": ({"$dynamicRef": "#x", "$dynamicAnchor": "x"}, "schema.$dynamicRef"),
    "draft 4": ({"$schema": "http://json-schema.org/draft-04/schema#"}, "schema.$schema"),
    "look-ahead": ({"properties": {"a": {"pattern": "^(?=a)"}}}, "schema.properties.a.pattern"),
    "back reference": ({"pattern": "(a+)\\1"}, "schema.pattern"),
    "an enormous expression": ({"pattern": "((x{1,1000}){1,1000}){1,1000}"}, "schema.pattern"),
    "no expression": ({"patternProperties": {"(": {}}}, "schema.patternProperties.("),
    "no type": ({"items": {"type": "text"}}, "schema.items.type"),
    "no schema": ({"properties": {"a": 5}}, "schema.properties.a"),
    "no list": ({"required": "door"}, "schema.required"),
    "too large": ({"title": "x" * 65_536}, "schema"),
    "in a circle": ({"allOf": [{"$ref": "#"}]}, "schema.allOf.0.$ref"),
    "twice on every level": (
        {"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
        "schema",
    ),
}


@pytest.mark.parametrize("name", EVIL_SCHEMAS)
async def test_f129_an_evil_schema_is_refused_by_name_and_not_stored(
    transmitter: TransmitterUnderTest, name: str
):
    schema, field = EVIL_SCHEMAS[name]
    started = time.monotonic()
    before = await catalogue(transmitter)
    response = await transmitter.http.post(EVENT_TYPES_PATH, json={"uri": DOOR, "schema": schema})
    assert response.status_code == 400, response.text
    assert response.json()["err"] == "invalid_request"
    assert response.json()["field"] == field
    assert await catalogue(transmitter) == before
    assert time.monotonic() - started < 5


async def test_f129_a_schema_of_a_megabyte_is_refused(transmitter: TransmitterUnderTest):
    for text, status in (("x" * 1_000_000, 400), ("x" * 1_048_576, 413)):
        body = {"uri": DOOR, "schema": {"title": text}}
        response = await transmitter.http.post(EVENT_TYPES_PATH, json=body)
        assert response.status_code == status
    many = {"uri": DOOR, "schema": {"anyOf": [{}] * 10**6}}
    assert (await transmitter.http.post(EVENT_TYPES_PATH, json=many)).status_code == 413


async def test_f129_a_schema_has_32_levels_and_not_one_more(transmitter: TransmitterUnderTest):
    for depth, status in ((32, 201), (33, 400), (1000, 400)):
        schema = "{" + '"not":{' * (depth - 1) + "}" * depth
        response = await transmitter.http.post(
            EVENT_TYPES_PATH,
            content=f'{{"uri":"urn:example:d{depth}","schema":{schema}}}',
            headers={"Content-Type": "application/json"},
        )
        assert response.status_code == status, depth


# ---------------------------------------------------------------- emitting


async def test_an_own_type_travels_as_any_other_and_unchanged(transmitter: TransmitterUnderTest):
    await register(transmitter)
    receiver = await transmitter.add_receiver()
    stream_id = (await receiver.create_stream(events_requested=[DOOR]))["stream_id"]
    payload = {"door": None, "nested": {"a": [1, 2.5, True, "\u00fc"]}, "event_timestamp": "any"}
    for body in (
        {"event_type": DOOR, "subject": SUBJECT, "payload": payload},
        {"event_type": "door-opened", "subject": SUBJECT, "payload": payload},
        {"events": {DOOR: payload}, "sub_id": SUBJECT},
    ):
        response = await transmitter.http.post("/admin/v1/events", json=body)
        assert (response.status_code, response.json()["matched"]) == (202, 1)
        (claims,) = await polled_claims(transmitter, receiver, stream_id)
        assert claims["events"] == {DOOR: payload}
        await poll(receiver, stream_id, ack=[claims["jti"]])


async def test_without_a_schema_any_object_is_a_payload_and_nothing_else(
    transmitter: TransmitterUnderTest,
):
    await register(transmitter)
    objects: list[dict[str, Any]] = [{}, {"a": {"b": []}}]
    for payload in objects:
        assert (await emitted(transmitter, payload=payload)).status_code == 202
    others: list[Any] = [[], "x", 5]
    for other in others:
        assert (await refused_event(transmitter, payload=other))[1] == "payload"


WRONG_PAYLOADS: list[tuple[dict[str, Any], str]] = [
    ({}, "door"),
    ({"door": 5}, "door"),
    ({"door": "a1"}, "door"),
    ({"door": "A1", "kind": "side"}, "kind"),
    ({"door": "A1", "guests": {}}, "guests"),
    ({"door": "A1", "guests": [{"name": 1}, {}]}, "guests[1].name"),
    ({"door": "A1", "inner": {"door": "A2", "inner": {"door": 5}}}, "inner.inner.door"),
    ({"door": "A1", "window": 1}, "window"),
    ({"door": "A1", "inner": {"door": "A1", "window": 1}}, "inner.window"),
]


async def test_a_payload_that_its_schema_does_not_permit_is_refused_and_the_member_is_named(
    transmitter: TransmitterUnderTest,
):
    await register(transmitter, schema=DOOR_SCHEMA)
    for payload, member in WRONG_PAYLOADS:
        answer = await refused_event(transmitter, payload=payload)
        assert answer == ("invalid_event", f"payload.{member}"), payload
    body = {"events": {DOOR: {"door": 5}}, "sub_id": SUBJECT}
    shaped = await transmitter.http.post("/admin/v1/events", json=body)
    assert shaped.json()["field"] == f"events.{DOOR}.door"
    good = {"door": "A1", "kind": "back", "guests": [{"name": 1}], "inner": {"door": "B2"}}
    assert (await emitted(transmitter, payload=good)).status_code == 202


async def test_a_refusal_never_tells_the_value(transmitter: TransmitterUnderTest):
    schema = {"properties": {"a": {"type": "integer"}, "b": {"enum": [1]}, "c": {"pattern": "^x"}}}
    await register(transmitter, schema=schema)
    for member in ("a", "b", "c"):
        response = await emitted(transmitter, payload={member: "s3cret"})
        assert response.status_code == 400
        assert "s3cret" not in response.text


SMALL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "additional member, no properties": ({"additionalProperties": False}, {"x": 1}),
    "unevaluated member": ({"unevaluatedProperties": False}, {"x": 1}),
    "a member that may not be": ({"properties": {"x": False}}, {"x": 1}),
    "dependent member": ({"dependentRequired": {"y": ["x"]}}, {"y": 1}),
}


@pytest.mark.parametrize("name", SMALL)
async def test_the_member_that_is_missing_or_too_many_is_named(
    transmitter: TransmitterUnderTest, name: str
):
    schema, payload = SMALL[name]
    await register(transmitter, schema=schema)
    assert (await refused_event(transmitter, payload=payload))[1] == "payload.x"


async def test_f129_the_id_of_a_schema_gives_its_references_no_other_meaning(
    transmitter: TransmitterUnderTest,
):
    """Were the name believed, `#` would be the draft's own schema, which wants other things."""
    schema = {
        "$id": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"type": {"type": "integer"}, "inner": {"$ref": "#"}},
    }
    await register(transmitter, schema=schema)
    assert (await emitted(transmitter, payload={"inner": {"type": 5}})).status_code == 202
    refused = await refused_event(transmitter, payload={"inner": {"type": "string"}})
    assert refused[1] == "payload.inner.type"


async def test_f129_an_evil_expression_runs_in_linear_time(transmitter: TransmitterUnderTest):
    schema = {"properties": {"a": {"pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}}}
    await register(transmitter, schema=schema)
    started = time.monotonic()
    assert (await emitted(transmitter, payload={"a": "a" * 60_000})).status_code == 400
    assert time.monotonic() - started < 5


async def test_f129_a_schema_that_refers_to_itself_ends_with_the_payload(
    transmitter: TransmitterUnderTest,
):
    schema = {"type": "object", "additionalProperties": {"$ref": "#"}}
    await register(transmitter, schema=schema)
    payload: dict[str, Any] = {}
    for _ in range(28):
        payload = {"a": payload, "b": {}}
    started = time.monotonic()
    assert (await emitted(transmitter, payload=payload)).status_code == 202
    inner = payload
    while inner["a"]:
        inner = inner["a"]
    inner["a"] = 5
    assert (await refused_event(transmitter, payload=payload))[1] == "payload" + ".a" * 28
    assert time.monotonic() - started < 5


# ---------------------------------------------------------------- of the specifications


async def test_risc_identifier_events_are_refused_about_other_subjects(
    transmitter: TransmitterUnderTest,
):
    opaque = {"format": "opaque", "id": "1"}
    for name in ("identifier-changed", "identifier-recycled"):
        refused = await refused_event(transmitter, name, subject=opaque)
        assert refused == ("invalid_subject", "subject.format")
        phone = {"format": "phone_number", "phone_number": "+12065550100"}
        assert (await emitted(transmitter, name, subject=phone)).status_code == 202


async def test_scim_events_are_refused_about_what_is_no_scim_resource(
    transmitter: TransmitterUnderTest,
):
    assert await refused_event(transmitter, "prov:delete") == ("invalid_subject", "subject.format")
    body = {"events": {"urn:ietf:params:scim:event:prov:delete": {}}, "sub_id": SUBJECT}
    response = await transmitter.http.post("/admin/v1/events", json=body)
    assert response.json()["field"] == "sub_id.format"


async def test_the_password_of_a_scim_user_is_neither_stored_nor_sent(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    stream_id = (await receiver.create_stream(events_requested=EVERYTHING_ON_OFFER))["stream_id"]
    subject = {"format": "scim", "uri": "/Users/1"}
    operations = [
        {"op": "replace", "path": "password", "value": "t0ps3cret"},
        {"op": "replace", "value": {"password": "t0ps3cret", "active": True}},
    ]
    for name, data, kept in (
        ("prov:put:full", {"userName": "j", "password": "t0ps3cret"}, {"userName": "j"}),
        (
            "prov:patch:full",
            {"Operations": operations},
            {"Operations": [{"op": "replace", "value": {"active": True}}]},
        ),
    ):
        response = await emitted(transmitter, name, subject=subject, payload={"data": data})
        assert response.status_code == 202, response.text
        (claims,) = await polled_claims(transmitter, receiver, stream_id)
        ((payload),) = claims["events"].values()
        assert payload == {"data": kept}
        await poll(receiver, stream_id, ack=[claims["jti"]])
        assert "t0ps3cret" not in json.dumps(claims)
        assert "t0ps3cret" not in str(transmitter.log.lines)


# ---------------------------------------------------------------- OAuth


async def test_oauth_events_are_off_unless_they_are_turned_on(transmitter: TransmitterUnderTest):
    for uri in OAUTH_EVENT_TYPE_URIS:
        for name in (uri, EVENT_TYPES[uri].name):
            refused = await refused_event(transmitter, name, subject=example_subject(uri))
            assert refused == ("unknown_event_type", "event_type")
        response = await transmitter.http.post(
            "/admin/v1/receivers",
            json={"name": "x", "audience": "https://x", "events_supported": [uri]},
        )
        assert response.status_code == 400
        assert response.json()["field"] == "events_supported"
        assert "SSF_OAUTH_EVENTS" in response.json()["description"]
    receiver = await transmitter.add_receiver()
    created = await receiver.create_stream(events_requested=list(OAUTH_EVENT_TYPE_URIS))
    assert created["events_delivered"] == []


async def test_oauth_events_that_are_on_travel_as_any_other(database: Database, clock: FakeClock):
    async with running_transmitter(database, clock, oauth_events=True) as transmitter:
        receiver = await transmitter.add_receiver()
        created = await receiver.create_stream(events_requested=list(OAUTH_EVENT_TYPE_URIS))
        assert created["events_supported"] == [*EVERYTHING_ON_OFFER, *OAUTH_EVENT_TYPE_URIS]
        assert created["events_delivered"] == list(OAUTH_EVENT_TYPE_URIS)
        listed = [one["uri"] for one in await catalogue(transmitter)]
        assert listed == list(EVENT_TYPES)
        for uri in OAUTH_EVENT_TYPE_URIS:
            for name in (uri, EVENT_TYPES[uri].name):
                payload, subject = example_payload(uri), example_subject(uri)
                response = await emitted(transmitter, name, subject=subject, payload=payload)
                assert (response.status_code, response.json()["matched"]) == (202, 1), uri
                (claims,) = await polled_claims(transmitter, receiver, created["stream_id"])
                assert claims["events"] == {uri: payload}
                assert claims["sub_id"] == subject
                await poll(receiver, created["stream_id"], ack=[claims["jti"]])


async def test_a_token_in_plain_text_is_refused(database: Database, clock: FakeClock):
    async with running_transmitter(database, clock, oauth_events=True) as transmitter:
        subject = {**example_subject(OAUTH_EVENT_TYPE_URIS[0]), "token_identifier_alg": "plain"}
        refused = await refused_event(transmitter, "token-revoked", subject=subject)
        assert refused == ("invalid_subject", "subject.token_identifier_alg")


async def test_oauth_events_that_are_turned_off_again_are_on_offer_to_nobody(
    database: Database, clock: FakeClock
):
    token = OAUTH_EVENT_TYPE_URIS[1]
    async with running_transmitter(database, clock, oauth_events=True) as transmitter:
        receiver = await transmitter.add_receiver(
            events_supported=["token-revoked", SESSION_REVOKED]
        )
        created = await receiver.create_stream(events_requested=[token])
        assert created["events_delivered"] == [token]
    async with running_transmitter(database, clock) as transmitter:
        receiver.http = client_of(transmitter.built, receiver.access_token)
        async with receiver.http:
            now = await configured(receiver)
        assert now["events_supported"] == [SESSION_REVOKED]
        assert now["events_delivered"] == []


# ---------------------------------------------------------------- on offer


async def test_ones_own_types_are_on_offer_last_and_to_everybody_without_a_list(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    restricted = await transmitter.add_receiver(events_supported=["session-revoked"])
    for one in (receiver, restricted):
        await one.create_stream(events_requested=[DOOR, SESSION_REVOKED])
    assert (await configured(receiver))["events_delivered"] == [SESSION_REVOKED]
    await register(transmitter)
    now = await configured(receiver)
    assert now["events_supported"] == [*EVERYTHING_ON_OFFER, DOOR]
    assert now["events_delivered"] == [DOOR, SESSION_REVOKED]
    assert (await configured(restricted))["events_supported"] == [SESSION_REVOKED]
    assert (await configured(restricted))["events_delivered"] == [SESSION_REVOKED]
    assert (await emitted(transmitter)).json()["matched"] == 1
    shown_receiver = (
        await transmitter.http.get(f"/admin/v1/receivers/{receiver.client_id}")
    ).json()
    assert shown_receiver["events_supported"] == now["events_supported"]


async def test_a_receiver_may_be_offered_types_of_every_family_by_name_and_by_uri(
    transmitter: TransmitterUnderTest,
):
    await register(transmitter)
    names = ["door-opened", "opt-in", "prov:delete", SESSION_REVOKED, DOOR]
    receiver = await transmitter.add_receiver(events_supported=names)
    created = await receiver.create_stream()
    assert created["events_supported"] == [
        DOOR,
        "https://schemas.openid.net/secevent/risc/event-type/opt-in",
        "urn:ietf:params:scim:event:prov:delete",
        SESSION_REVOKED,
    ]


async def test_a_removed_type_can_be_neither_emitted_nor_delivered(
    transmitter: TransmitterUnderTest,
):
    await register(transmitter)
    everybody = await transmitter.add_receiver()
    own_list = await transmitter.add_receiver(events_supported=[DOOR, SESSION_REVOKED])
    for receiver in (everybody, own_list):
        await receiver.create_stream(events_requested=[DOOR, SESSION_REVOKED])
        assert DOOR in (await configured(receiver))["events_delivered"]

    await unregister(transmitter, "door-opened")
    assert await refused_event(transmitter) == ("unknown_event_type", "event_type")
    assert await refused_event(transmitter, "door-opened") == ("unknown_event_type", "event_type")
    for receiver in (everybody, own_list):
        now = await configured(receiver)
        assert DOOR not in now["events_supported"]
        assert now["events_requested"] == [DOOR, SESSION_REVOKED]
        assert now["events_delivered"] == [SESSION_REVOKED]
        echoed = await receiver.http.put("/ssf/v1/streams", json=now)
        assert echoed.status_code == 200, echoed.text

    await register(transmitter, name="again")
    assert (await emitted(transmitter, "again")).json()["matched"] == 2


async def test_what_was_emitted_before_its_type_was_removed_still_arrives(
    transmitter: TransmitterUnderTest,
):
    await register(transmitter)
    receiver = await transmitter.add_receiver()
    stream_id = (await receiver.create_stream(events_requested=[DOOR]))["stream_id"]
    assert (await emitted(transmitter, payload={"door": 1})).status_code == 202
    await unregister(transmitter)
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    assert claims["events"] == {DOOR: {"door": 1}}


async def test_types_of_the_specifications_stay(transmitter: TransmitterUnderTest):
    before = await catalogue(transmitter)
    for name in ("session-revoked", SESSION_REVOKED, "verification", "prov:delete"):
        response = await transmitter.http.delete(EVENT_TYPES_PATH, params={"type": name})
        assert response.status_code == 400, name
        assert response.json()["field"] == "type", name
    assert await catalogue(transmitter) == before


async def test_the_types_of_another_project_are_not_there(
    transmitter: TransmitterUnderTest, database: Database
):
    from ssf.store.schema import projects

    await register(transmitter)
    async with database.transaction() as transaction:
        other = await transaction.execute(
            projects.insert().values(name="other", created_at=1).returning(projects.c.id)
        )
        await transaction.execute(update(event_types).values(project_id=other.scalar_one()))
    response = await transmitter.http.get(EVENT_TYPES_PATH, params={"type": DOOR})
    assert response.status_code == 404
    assert (await emitted(transmitter)).json()["err"] == "unknown_event_type"
    assert DOOR not in [one["uri"] for one in await catalogue(transmitter)]
    receiver = await transmitter.add_receiver()
    assert (await receiver.create_stream())["events_supported"] == EVERYTHING_ON_OFFER
    await register(transmitter)
