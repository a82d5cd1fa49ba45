"""The stream configuration endpoint, `/ssf/v1/streams` (SSF 1.0 §8.1.1)."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from ssf.store.database import Database
from tests.api.test_ssf_poll import poll, polled_claims, verified_set
from tests.clients import (
    AUDIENCE,
    CREDENTIAL_CHANGE,
    EVERYTHING_ON_OFFER,
    ISSUER,
    POLL,
    PUSH,
    SESSION_REVOKED,
    TOKEN_CLAIMS_CHANGE,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock, RecordingReceiver

STREAMS = "/ssf/v1/streams"
PUSH_URL = "https://receiver.example.com/events"
PUSH_DELIVERY = {"method": PUSH, "endpoint_url": PUSH_URL, "authorization_header": "Bearer s3cret"}
UNKNOWN_TYPE = "https://example.com/event-type/nobody-knows-it"
NOBODYS_STREAM_ID = "0123456789abcdef0123456789abcdef"


async def create(receiver: ReceiverUnderTest, body: Any) -> httpx.Response:
    return await receiver.http.post(STREAMS, json=body)


async def patch(receiver: ReceiverUnderTest, stream_id: Any, **changes: Any) -> httpx.Response:
    return await receiver.http.patch(STREAMS, json={"stream_id": stream_id, **changes})


async def put(receiver: ReceiverUnderTest, stream_id: Any, **properties: Any) -> httpx.Response:
    return await receiver.http.put(STREAMS, json={"stream_id": stream_id, **properties})


async def read(receiver: ReceiverUnderTest, stream_id: str) -> dict[str, Any]:
    response = await receiver.http.get(STREAMS, params={"stream_id": stream_id})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def listed(receiver: ReceiverUnderTest) -> list[dict[str, Any]]:
    response = await receiver.http.get(STREAMS)
    assert response.status_code == 200, response.text
    found = response.json()
    assert isinstance(found, list)
    return found


async def everything(transmitter: TransmitterUnderTest, *receivers: ReceiverUnderTest) -> Any:
    """What receivers and the operator can see, to compare before and after a refused request."""
    seen: list[Any] = []
    for path in ("streams", "deliveries", "receivers"):
        response = await transmitter.http.get(f"/admin/v1/{path}", params={"limit": 200})
        assert response.status_code == 200, response.text
        seen.append(response.json())
    for receiver in receivers:
        for stream in await listed(receiver):
            status = await receiver.http.get(
                "/ssf/v1/status", params={"stream_id": stream["stream_id"]}
            )
            seen.append((stream, status.json()))
    return seen


def only(configuration: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: configuration[name] for name in names if name in configuration}


def default_delivery(stream_id: str) -> dict[str, Any]:
    return {"method": POLL, "endpoint_url": f"{ISSUER}/ssf/v1/poll/{stream_id}"}


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    return await transmitter.add_receiver()


# ---------------------------------------------------------------- common to all (T-8 to T-11)


async def test_t8_a_stream_of_another_receiver_is_told_apart_from_none_by_nothing(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_push_stream(PUSH_URL, authorization_header="Bearer s3cret")
    polled = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit()
    before = await everything(transmitter, receiver)
    stranger = await transmitter.add_receiver()
    before[2] = (await everything(transmitter, receiver))[2]

    async def answers(stream_id: str) -> list[tuple[str, int, list[tuple[bytes, bytes]], bytes]]:
        http, found = stranger.http, []
        by_id = {"params": {"stream_id": stream_id}}
        body = {"json": {"stream_id": stream_id}}
        changed = {"json": {"stream_id": stream_id, "description": "mine"}}
        paused = {"json": {"stream_id": stream_id, "status": "paused"}}
        for method, path, content in (
            ("GET", STREAMS, by_id),
            ("PATCH", STREAMS, changed),
            ("PATCH", STREAMS, {"json": {"stream_id": stream_id, "iss": "https://wrong.example"}}),
            ("PUT", STREAMS, changed),
            ("DELETE", STREAMS, by_id),
            ("GET", "/ssf/v1/status", by_id),
            ("POST", "/ssf/v1/status", paused),
            ("POST", "/ssf/v1/verify", body),
            ("POST", f"/ssf/v1/poll/{stream_id}", {"json": {"returnImmediately": True}}),
        ):
            response = await http.request(method, path, **content)
            found.append((f"{method} {path}", response.status_code, response))
        return [
            (name.replace(stream_id, "…"), status, response.headers.raw, response.content)
            for name, status, response in found
        ]

    nobodys = await answers(NOBODYS_STREAM_ID)
    assert {status for _, status, _, _ in nobodys} == {404}
    assert await answers(created["stream_id"]) == nobodys
    assert await answers(polled["stream_id"]) == nobodys
    assert await everything(transmitter, receiver) == before


async def test_t8_a_list_shows_only_streams_of_the_caller(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_stream()
    stranger = await transmitter.add_receiver()
    assert await listed(stranger) == []
    assert [stream["stream_id"] for stream in await listed(receiver)] == [created["stream_id"]]


async def test_t8_a_receiver_is_bound_to_its_audience(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await create(receiver, {"aud": "https://victim.example.com"})
    assert created.status_code == 201
    assert created.json()["aud"] == AUDIENCE
    stream_id = created.json()["stream_id"]
    assert (await patch(receiver, stream_id, aud="https://victim.example.com")).status_code == 400
    assert (await put(receiver, stream_id, aud=["https://victim.example.com"])).status_code == 400
    assert (await read(receiver, stream_id))["aud"] == AUDIENCE


async def test_t9_every_operation_of_the_configuration_endpoint_is_there(
    receiver: ReceiverUnderTest,
):
    created = await create(receiver, {})
    assert created.status_code == 201
    stream_id = created.json()["stream_id"]
    assert (await receiver.http.get(STREAMS)).status_code == 200
    assert (await receiver.http.get(STREAMS, params={"stream_id": stream_id})).status_code == 200
    assert (await patch(receiver, stream_id)).status_code == 200
    assert (await put(receiver, stream_id)).status_code == 200
    deleted = await receiver.http.delete(STREAMS, params={"stream_id": stream_id})
    assert deleted.status_code == 204
    assert deleted.content == b""


async def test_t10_all_receivers_use_the_same_urls(transmitter: TransmitterUnderTest):
    one, other = await transmitter.add_receiver(), await transmitter.add_receiver()
    ones, others = await one.create_stream(), await other.create_stream()
    assert [stream["stream_id"] for stream in await listed(one)] == [ones["stream_id"]]
    assert [stream["stream_id"] for stream in await listed(other)] == [others["stream_id"]]


async def test_t11_answers_are_json_that_no_cache_keeps(receiver: ReceiverUnderTest):
    created = await create(receiver, {})
    stream_id = created.json()["stream_id"]
    for response in (
        created,
        await receiver.http.get(STREAMS),
        await receiver.http.get(STREAMS, params={"stream_id": stream_id}),
        await receiver.http.get(STREAMS, params={"stream_id": NOBODYS_STREAM_ID}),
        await patch(receiver, stream_id, description="x"),
        await patch(receiver, stream_id, description=1),
        await put(receiver, stream_id),
    ):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"


async def test_t11_an_error_says_in_words_what_is_wrong_and_where(receiver: ReceiverUnderTest):
    response = await create(receiver, {"delivery": {"method": PUSH, "endpoint_url": 5}})
    assert response.status_code == 400
    assert response.json()["field"] == "delivery.endpoint_url"
    assert response.json()["err"]
    assert response.json()["description"]


# ---------------------------------------------------------------- create (T-12, T-13, T-17, T-18)


async def test_a_created_stream_has_every_required_property(receiver: ReceiverUnderTest):
    response = await create(
        receiver,
        {
            "events_requested": [SESSION_REVOKED, UNKNOWN_TYPE],
            "delivery": PUSH_DELIVERY,
            "description": "for the help desk",
        },
    )
    assert response.status_code == 201
    created = response.json()
    assert re.fullmatch(r"[A-Za-z0-9._~-]+", created["stream_id"])
    assert created == {
        "stream_id": created["stream_id"],
        "iss": ISSUER,
        "aud": AUDIENCE,
        "events_supported": EVERYTHING_ON_OFFER,
        "events_requested": [SESSION_REVOKED, UNKNOWN_TYPE],
        "events_delivered": [SESSION_REVOKED],
        "delivery": PUSH_DELIVERY,
        "min_verification_interval": 60,
        "description": "for the help desk",
    }
    assert await read(receiver, created["stream_id"]) == created
    assert await listed(receiver) == [created]


async def test_a_created_stream_is_enabled(receiver: ReceiverUnderTest):
    created = await receiver.create_stream()
    response = await receiver.http.get("/ssf/v1/status", params={"stream_id": created["stream_id"]})
    assert response.json() == {"stream_id": created["stream_id"], "status": "enabled"}


async def test_create_without_any_body_takes_all_defaults(receiver: ReceiverUnderTest):
    for headers in ({}, {"Content-Type": "application/json"}):
        response = await receiver.http.post(STREAMS, headers=headers)
        assert response.status_code == 201, response.text
        created = response.json()
        assert created["delivery"] == default_delivery(created["stream_id"])
        assert created["events_delivered"] == []
        assert "events_requested" not in created
        assert "description" not in created


async def test_several_audiences_are_shown_as_an_array(transmitter: TransmitterUnderTest):
    receiver = await transmitter.add_receiver(audience=["https://a.example", "https://b.example"])
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    assert created["aud"] == ["https://a.example", "https://b.example"]
    await transmitter.emit()
    (claims,) = await polled_claims(transmitter, receiver, created["stream_id"])
    assert claims["aud"] == ["https://a.example", "https://b.example"]


async def test_t12_several_streams_of_one_receiver_have_fresh_ids(receiver: ReceiverUnderTest):
    ids = [(await receiver.create_stream())["stream_id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert [stream["stream_id"] for stream in await listed(receiver)] == ids


async def test_t12_a_stream_id_is_not_given_out_again_after_a_deletion(
    receiver: ReceiverUnderTest,
):
    first = (await receiver.create_stream())["stream_id"]
    await receiver.http.delete(STREAMS, params={"stream_id": first})
    assert (await receiver.create_stream())["stream_id"] != first


async def test_t12_one_stream_too_many_is_a_conflict(transmitter: TransmitterUnderTest):
    receiver = await transmitter.add_receiver(max_streams=2)
    first = await receiver.create_stream()
    await receiver.create_stream()
    before = await everything(transmitter, receiver)

    refused = await create(receiver, {})

    assert refused.status_code == 409
    assert await everything(transmitter, receiver) == before
    await receiver.http.delete(STREAMS, params={"stream_id": first["stream_id"]})
    assert (await create(receiver, {})).status_code == 201


async def test_t12_of_two_creates_at_once_only_one_takes_the_last_place(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver(max_streams=1)
    async with asyncio.TaskGroup() as group:
        creating = [group.create_task(create(receiver, {})) for _ in range(4)]
    assert sorted(task.result().status_code for task in creating) == [201, 409, 409, 409]
    assert len(await listed(receiver)) == 1


async def test_t13_no_delivery_means_poll(receiver: ReceiverUnderTest):
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    assert created["delivery"] == default_delivery(created["stream_id"])


async def test_t13_the_poll_url_works_and_is_unique_for_each_stream(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = [await receiver.create_stream(events_requested=[SESSION_REVOKED]) for _ in range(2)]
    urls = [stream["delivery"]["endpoint_url"] for stream in created]
    assert len(set(urls)) == 2
    await transmitter.emit()
    for url in urls:
        response = await receiver.http.post(url, json={"returnImmediately": True})
        assert response.status_code == 200
        assert len(response.json()["sets"]) == 1


async def test_t13_a_poll_url_that_a_receiver_sends_with_create_is_ignored(
    receiver: ReceiverUnderTest,
):
    for sent in ({}, {"endpoint_url": "https://elsewhere.example/poll"}, {"endpoint_url": None}):
        created = await receiver.create_stream(delivery={"method": POLL, **sent})
        assert created["delivery"] == default_delivery(created["stream_id"]), sent


async def test_t13_an_unsupported_method_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    for method in ("urn:ietf:rfc:9999", "URN:IETF:RFC:8936", "push", "", 8936, None, [POLL]):
        delivery = {"method": method, "endpoint_url": PUSH_URL}
        response = await create(receiver, {"delivery": delivery})
        assert response.status_code == 400, method
        assert response.json()["field"] == "delivery.method", method
    assert (await create(receiver, {"delivery": {}})).status_code == 400
    assert await everything(transmitter, receiver) == before


async def test_a_push_stream_needs_an_endpoint(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    for sent in ({}, {"endpoint_url": None}, {"endpoint_url": ""}, {"endpoint_url": [PUSH_URL]}):
        response = await create(receiver, {"delivery": {"method": PUSH, **sent}})
        assert response.status_code == 400, sent
        assert response.json()["field"] == "delivery.endpoint_url", sent
    assert await everything(transmitter, receiver) == before


async def test_t17_transmitter_supplied_members_are_ignored_by_create(
    receiver: ReceiverUnderTest,
):
    response = await create(
        receiver,
        {
            "stream_id": "chosen-by-me",
            "iss": "https://me.example",
            "aud": ["https://me.example"],
            "events_supported": [UNKNOWN_TYPE],
            "events_delivered": [CREDENTIAL_CHANGE],
            "min_verification_interval": 0,
            "inactivity_timeout": 1,
            "events_requested": [SESSION_REVOKED],
        },
    )
    assert response.status_code == 201
    created = response.json()
    assert created["stream_id"] != "chosen-by-me"
    assert only(
        created, "iss", "aud", "events_supported", "events_delivered", "min_verification_interval"
    ) == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "events_supported": EVERYTHING_ON_OFFER,
        "events_delivered": [SESSION_REVOKED],
        "min_verification_interval": 60,
    }
    assert "inactivity_timeout" not in created


async def test_t17_unknown_members_are_neither_stored_nor_echoed(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    odd = {
        "status": "disabled",
        "reason": "canary",
        "created_at": 1,
        "project_id": 7,
        "receiver_id": 7,
        "profile": "sse",
        "format": "email",
        "limits": {"canary": 1},
        "": "canary",
    }
    delivery = {"method": PUSH, "endpoint_url": PUSH_URL, "canary": 1, "url": "https://no.example"}
    plain_delivery = {"method": PUSH, "endpoint_url": PUSH_URL}
    created = await create(receiver, {**odd, "delivery": delivery})
    assert created.status_code == 201
    stream_id = created.json()["stream_id"]
    for response in (
        created,
        await patch(receiver, stream_id, **odd, delivery=delivery),
        await put(receiver, stream_id, **odd, delivery=delivery),
        await receiver.http.get(STREAMS, params={"stream_id": stream_id}),
    ):
        assert not odd.keys() & response.json().keys()
        assert response.json()["delivery"] == plain_delivery
        assert "canary" not in response.text
    status = await receiver.http.get("/ssf/v1/status", params={"stream_id": stream_id})
    assert status.json() == {"stream_id": stream_id, "status": "enabled"}


async def test_t17_wrong_types_are_refused_by_name_and_nothing_is_stored(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_stream(
        events_requested=[SESSION_REVOKED], delivery=PUSH_DELIVERY, description="before"
    )
    before = await everything(transmitter, receiver)
    cases: list[tuple[str, Any]] = [
        ("events_requested", None),
        ("events_requested", SESSION_REVOKED),
        ("events_requested", {SESSION_REVOKED: True}),
        ("events_requested", [SESSION_REVOKED, None]),
        ("events_requested", [SESSION_REVOKED, 5]),
        ("events_requested", [[SESSION_REVOKED]]),
        ("events_requested", [SESSION_REVOKED, ""]),
        ("events_requested", [SESSION_REVOKED, "line\nbreak"]),
        ("delivery", None),
        ("delivery", POLL),
        ("delivery", [PUSH_DELIVERY]),
        ("delivery", {}),
        ("delivery", {**PUSH_DELIVERY, "authorization_header": 5}),
        ("delivery", {**PUSH_DELIVERY, "authorization_header": ["Bearer x"]}),
        ("description", None),
        ("description", 5),
        ("description", {"en": "x"}),
        ("description", ["x"]),
        ("description", True),
    ]
    for member, value in cases:
        sound = {"description": "after", "events_requested": [CREDENTIAL_CHANGE]}
        for response in (
            await create(receiver, {**sound, member: value}),
            await patch(receiver, created["stream_id"], **{**sound, member: value}),
            await put(receiver, created["stream_id"], **{**sound, member: value}),
        ):
            request = f"{response.request.method} {member}: {value}"
            assert response.status_code == 400, request
            assert response.json()["field"].startswith(member), request
            assert await everything(transmitter, receiver) == before, request


async def test_t17_patch_and_put_need_a_stream_id(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    await receiver.create_stream(description="before")
    before = await everything(transmitter, receiver)
    for method in ("PATCH", "PUT"):
        missing = await receiver.http.request(method, STREAMS, json={"description": "after"})
        assert missing.status_code == 400, method
        assert missing.json()["field"] == "stream_id", method
        for stream_id in (None, 5, True, "", [before], {"id": "x"}, 1.5, "nul\u0000"):
            body = {"stream_id": stream_id, "description": "after"}
            response = await receiver.http.request(method, STREAMS, json=body)
            assert response.status_code == 400, (method, stream_id)
        unknown = {"stream_id": NOBODYS_STREAM_ID, "description": "after"}
        response = await receiver.http.request(method, STREAMS, json=unknown)
        assert response.status_code == 404, method
    assert await everything(transmitter, receiver) == before


async def test_t17_a_stream_id_in_the_query_does_not_stand_in_for_the_body(
    receiver: ReceiverUnderTest,
):
    created = await receiver.create_stream()
    for method in ("PATCH", "PUT"):
        response = await receiver.http.request(
            method, STREAMS, params={"stream_id": created["stream_id"]}, json={"description": "x"}
        )
        assert response.status_code == 400
    assert await read(receiver, created["stream_id"]) == created


async def test_t18_events_delivered_are_the_requested_ones_that_are_supported(
    receiver: ReceiverUnderTest,
):
    requested = [
        TOKEN_CLAIMS_CHANGE,
        UNKNOWN_TYPE,
        SESSION_REVOKED,
        TOKEN_CLAIMS_CHANGE,
        SESSION_REVOKED.upper(),
        f"{SESSION_REVOKED}/",
        SESSION_REVOKED,
    ]
    created = await receiver.create_stream(events_requested=requested)
    assert created["events_delivered"] == [TOKEN_CLAIMS_CHANGE, SESSION_REVOKED]
    assert created["events_requested"] == list(dict.fromkeys(requested))
    assert set(created["events_delivered"]) <= set(created["events_supported"])


async def test_t18_nothing_requested_means_nothing_delivered(receiver: ReceiverUnderTest):
    empty = await receiver.create_stream(events_requested=[])
    assert empty["events_requested"] == []
    assert empty["events_delivered"] == []
    unknown = await receiver.create_stream(events_requested=[UNKNOWN_TYPE])
    assert unknown["events_requested"] == [UNKNOWN_TYPE]
    assert unknown["events_delivered"] == []
    absent = await receiver.create_stream()
    assert absent["events_delivered"] == []


async def test_t18_only_what_is_on_offer_to_this_receiver_is_delivered(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver(events_supported=["session-revoked"])
    created = await receiver.create_stream(events_requested=[CREDENTIAL_CHANGE, SESSION_REVOKED])
    assert created["events_supported"] == [SESSION_REVOKED]
    assert created["events_delivered"] == [SESSION_REVOKED]


async def test_a_thousand_event_types_pass_and_one_more_is_refused(receiver: ReceiverUnderTest):
    many = [f"https://example.com/type/{count}" for count in range(1001)]
    assert (await create(receiver, {"events_requested": many[:1000]})).status_code == 201
    refused = await create(receiver, {"events_requested": many})
    assert refused.status_code == 400
    assert refused.json()["field"] == "events_requested"


async def test_a_description_has_up_to_1024_characters(receiver: ReceiverUnderTest):
    for text in ("", "x" * 1024, "é" * 1024, "😀" * 1024, "<script>alert(1)</script>", "'; --"):
        created = await receiver.create_stream(description=text)
        assert created["description"] == text
        assert (await read(receiver, created["stream_id"]))["description"] == text
    assert (await create(receiver, {"description": "x" * 1025})).status_code == 400


async def test_f87_a_description_with_control_or_bidi_characters_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    before = await everything(transmitter, receiver)
    for bad in ("\u0000", "\r\n", "\x1b[31m", "\x7f", "\u0085", "\u202e", "\u2066", "\u200b"):
        response = await create(receiver, {"description": f"a{bad}b"})
        assert response.status_code == 400, ascii(bad)
    assert await everything(transmitter, receiver) == before


# ---------------------------------------------------------------- read and list


async def test_a_list_is_always_an_array(receiver: ReceiverUnderTest):
    assert await listed(receiver) == []
    first = await receiver.create_stream()
    assert await listed(receiver) == [first]
    second = await receiver.create_push_stream(PUSH_URL)
    assert await listed(receiver) == [first, second]


async def test_reading_an_unknown_stream_is_not_found(receiver: ReceiverUnderTest):
    await receiver.create_stream()
    for stream_id in (NOBODYS_STREAM_ID, "x", "../streams", "%00"[0], "é"):
        response = await receiver.http.get(STREAMS, params={"stream_id": stream_id})
        assert response.status_code == 404, stream_id


async def test_a_stream_id_that_cannot_be_one_is_refused_on_every_database(
    receiver: ReceiverUnderTest,
):
    for query in ("stream_id=", "stream_id=a%00b", "stream_id=a&stream_id=b"):
        for method in ("GET", "DELETE"):
            response = await receiver.http.request(method, f"{STREAMS}?{query}")
            assert response.status_code == 400, (method, query)


async def test_head_answers_as_get_without_a_body(receiver: ReceiverUnderTest):
    created = await receiver.create_stream()
    got = await receiver.http.get(STREAMS, params={"stream_id": created["stream_id"]})
    head = await receiver.http.head(STREAMS, params={"stream_id": created["stream_id"]})
    assert head.status_code == 200
    assert head.headers["content-type"] == got.headers["content-type"]
    assert head.content == b""


# ---------------------------------------------------------------- PATCH (T-14, T-16)


async def test_t14_patch_sets_what_is_present_and_leaves_the_rest(receiver: ReceiverUnderTest):
    created = await receiver.create_stream(
        events_requested=[SESSION_REVOKED], delivery=PUSH_DELIVERY, description="before"
    )
    stream_id = created["stream_id"]
    expected = dict(created)

    async def check(**changes: Any) -> None:
        response = await patch(receiver, stream_id, **changes)
        assert response.status_code == 200, response.text
        assert response.json() == expected
        assert await read(receiver, stream_id) == expected

    await check()
    expected["description"] = "after"
    await check(description="after")
    expected["description"] = ""
    await check(description="")
    expected["events_requested"] = [CREDENTIAL_CHANGE, UNKNOWN_TYPE]
    expected["events_delivered"] = [CREDENTIAL_CHANGE]
    await check(events_requested=[CREDENTIAL_CHANGE, UNKNOWN_TYPE])
    expected["events_requested"] = expected["events_delivered"] = []
    await check(events_requested=[])
    expected["delivery"] = default_delivery(stream_id)
    await check(delivery={"method": POLL})


async def test_t14_patch_replaces_the_delivery_as_a_whole(receiver: ReceiverUnderTest):
    created = await receiver.create_stream(delivery=PUSH_DELIVERY)
    bare = {"method": PUSH, "endpoint_url": PUSH_URL}
    response = await patch(receiver, created["stream_id"], delivery=bare)
    assert response.status_code == 200
    assert response.json()["delivery"] == bare


async def test_t14_a_patched_description_keeps_the_authorization_header(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    receiver = await transmitter.add_receiver()
    created = await receiver.create_push_stream(
        push_receiver.url, authorization_header="Bearer s3cret"
    )
    response = await patch(receiver, created["stream_id"], description="after")
    assert response.json()["delivery"] == created["delivery"]
    await transmitter.emit()
    await transmitter.deliver()
    assert push_receiver.pushed[0].headers["authorization"] == "Bearer s3cret"


async def test_t14_a_patch_takes_effect_on_the_next_event(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_stream(events_requested=[CREDENTIAL_CHANGE])
    assert (await transmitter.emit())["matched"] == 0
    await patch(receiver, created["stream_id"], events_requested=[SESSION_REVOKED])
    assert (await transmitter.emit())["matched"] == 1
    await patch(receiver, created["stream_id"], events_requested=[])
    assert (await transmitter.emit())["matched"] == 0


async def test_t14_push_to_poll_to_push(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    receiver = await transmitter.add_receiver()
    created = await receiver.create_push_stream(
        push_receiver.url, authorization_header="Bearer s3cret"
    )
    stream_id = created["stream_id"]
    pushed = {"method": PUSH, "endpoint_url": push_receiver.url}

    polled = await patch(receiver, stream_id, delivery={"method": POLL})
    assert polled.json()["delivery"] == default_delivery(stream_id)
    await transmitter.emit(txn="polled")
    await transmitter.deliver()
    assert push_receiver.pushed == []
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    await poll(receiver, stream_id, ack=[claims["jti"]])
    await transmitter.emit(txn="moves-along")

    again = await patch(receiver, stream_id, delivery=pushed)
    assert again.json()["delivery"] == pushed, "the old authorization_header came back"
    assert await transmitter.deliver() == 1, "what nobody polled is not pushed by itself"
    await transmitter.emit(txn="pushed")
    assert await transmitter.deliver() == 1
    txns = [(await verified_set(transmitter, one.body))["txn"] for one in push_receiver.pushed]
    assert txns == ["moves-along", "pushed"]
    assert all("authorization" not in one.headers for one in push_receiver.pushed)


async def test_the_poll_url_may_be_sent_back_and_no_other(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    other = await receiver.create_stream()
    before = await everything(transmitter, receiver)
    stream_id, delivery = created["stream_id"], created["delivery"]
    wrong = {**delivery, "endpoint_url": "https://elsewhere.example/poll"}
    for change in (patch, put):
        for sent in (wrong, other["delivery"], {**delivery, "endpoint_url": 5}):
            refused = await change(receiver, stream_id, delivery=sent)
            assert refused.status_code == 400
            assert refused.json()["field"] == "delivery.endpoint_url"
        assert await everything(transmitter, receiver) == before
    same = await patch(receiver, stream_id, delivery=delivery)
    assert same.status_code == 200
    assert same.json() == created


SUPPLIED_BY_TRANSMITTER: dict[str, list[Any]] = {
    "iss": ["https://wrong.example", f"{ISSUER}/", ISSUER.upper(), None, 5, [], {}],
    "aud": ["https://wrong.example", [AUDIENCE, "https://more.example"], [], None, 5, [5]],
    "events_supported": [[], [SESSION_REVOKED], SESSION_REVOKED, None, [None]],
    "events_delivered": [[], [CREDENTIAL_CHANGE], [SESSION_REVOKED, CREDENTIAL_CHANGE], None],
    "min_verification_interval": [0, 59, "60", None, True, [60]],
    "inactivity_timeout": [1, "1", 0, {}],
}


async def test_t16_patch_and_put_refuse_a_transmitter_supplied_property_that_differs(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_stream(
        events_requested=[SESSION_REVOKED], delivery=PUSH_DELIVERY, description="before"
    )
    before = await everything(transmitter, receiver)
    for name, values in SUPPLIED_BY_TRANSMITTER.items():
        for value in values:
            for change in (patch, put):
                response = await change(
                    receiver, created["stream_id"], description="after", **{name: value}
                )
                request = f"{change.__name__} {name}: {value}"
                assert response.status_code == 400, request
                assert response.json()["field"] == name, request
    assert await everything(transmitter, receiver) == before


async def test_t16_patch_refuses_another_aud(receiver: ReceiverUnderTest):
    created = await receiver.create_stream()
    response = await patch(receiver, created["stream_id"], aud="https://wrong.example")
    assert response.status_code == 400
    assert response.json()["field"] == "aud"
    assert await read(receiver, created["stream_id"]) == created


async def test_t16_patch_and_put_take_the_whole_configuration_that_was_read(
    receiver: ReceiverUnderTest,
):
    created = await receiver.create_stream(
        events_requested=[SESSION_REVOKED, UNKNOWN_TYPE],
        delivery=PUSH_DELIVERY,
        description="before",
    )
    for method in ("PATCH", "PUT"):
        response = await receiver.http.request(method, STREAMS, json=created)
        assert response.status_code == 200, response.text
        assert response.json() == created
    polled = await receiver.create_stream()
    for method in ("PATCH", "PUT"):
        response = await receiver.http.request(method, STREAMS, json=polled)
        assert response.status_code == 200, response.text
        assert response.json() == polled


async def test_t16_events_delivered_is_compared_with_the_value_before_the_update(
    receiver: ReceiverUnderTest,
):
    for change in (patch, put):
        created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
        early = await change(
            receiver,
            created["stream_id"],
            events_requested=[CREDENTIAL_CHANGE],
            events_delivered=[CREDENTIAL_CHANGE],
        )
        assert early.status_code == 400
        assert await read(receiver, created["stream_id"]) == created
        changed = await change(
            receiver,
            created["stream_id"],
            events_requested=[CREDENTIAL_CHANGE],
            events_delivered=[SESSION_REVOKED],
        )
        assert changed.status_code == 200
        assert changed.json()["events_delivered"] == [CREDENTIAL_CHANGE]


async def test_t16_arrays_are_compared_as_sets_and_one_audience_equals_an_array_of_it(
    transmitter: TransmitterUnderTest,
):
    one = await transmitter.add_receiver()
    stream = await one.create_stream(events_requested=[SESSION_REVOKED, CREDENTIAL_CHANGE])
    two = await transmitter.add_receiver(audience=["https://a.example", "https://b.example"])
    other = await two.create_stream()
    for change in (patch, put):
        response = await change(
            one,
            stream["stream_id"],
            aud=[AUDIENCE],
            events_requested=[SESSION_REVOKED, CREDENTIAL_CHANGE],
            events_delivered=[CREDENTIAL_CHANGE, SESSION_REVOKED, CREDENTIAL_CHANGE],
            events_supported=list(reversed(stream["events_supported"])),
        )
        assert response.status_code == 200, response.text
        response = await change(
            two, other["stream_id"], aud=["https://b.example", "https://a.example"]
        )
        assert response.status_code == 200, response.text
        for part in ("https://a.example", ["https://a.example"]):
            assert (await change(two, other["stream_id"], aud=part)).status_code == 400


# ---------------------------------------------------------------- PUT (T-15)


async def test_t15_put_deletes_what_is_absent(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_stream(
        events_requested=[SESSION_REVOKED], delivery=PUSH_DELIVERY, description="before"
    )
    stream_id = created["stream_id"]

    response = await put(receiver, stream_id)

    assert response.status_code == 200
    replaced = response.json()
    assert "events_requested" not in replaced
    assert "description" not in replaced
    assert replaced["events_delivered"] == []
    assert replaced["delivery"] == default_delivery(stream_id)
    unchanged = ("stream_id", "iss", "aud", "events_supported", "min_verification_interval")
    assert only(replaced, *unchanged) == only(created, *unchanged)
    assert await read(receiver, stream_id) == replaced
    assert (await transmitter.emit())["matched"] == 0


async def test_t15_put_deletes_each_property_on_its_own(receiver: ReceiverUnderTest):
    full: dict[str, Any] = {
        "events_requested": [SESSION_REVOKED],
        "delivery": PUSH_DELIVERY,
        "description": "before",
    }
    created = await receiver.create_stream(**full)
    stream_id = created["stream_id"]
    for absent in full:
        sent = {name: value for name, value in full.items() if name != absent}
        replaced = (await put(receiver, stream_id, **sent)).json()
        assert only(replaced, *sent) == sent
        if absent == "delivery":
            assert replaced["delivery"] == default_delivery(stream_id)
        else:
            assert absent not in replaced
        restored = await put(receiver, stream_id, **full)
        assert restored.json() == created


async def test_t15_put_without_the_authorization_header_deletes_it(receiver: ReceiverUnderTest):
    created = await receiver.create_stream(delivery=PUSH_DELIVERY)
    bare = {"method": PUSH, "endpoint_url": PUSH_URL}
    response = await put(receiver, created["stream_id"], delivery=bare)
    assert response.json()["delivery"] == bare
    null = await put(
        receiver, created["stream_id"], delivery={**bare, "authorization_header": None}
    )
    assert null.status_code in {200, 400}
    assert (await read(receiver, created["stream_id"]))["delivery"] == bare


async def test_patch_and_put_leave_the_status_alone(receiver: ReceiverUnderTest):
    created = await receiver.create_stream()
    paused = {"stream_id": created["stream_id"], "status": "paused", "reason": "lunch"}
    await receiver.http.post("/ssf/v1/status", json=paused)
    await patch(receiver, created["stream_id"], description="x", status="enabled")
    await put(receiver, created["stream_id"], status="enabled")
    status = await receiver.http.get("/ssf/v1/status", params={"stream_id": created["stream_id"]})
    assert status.json() == paused


async def test_two_patches_at_once_lose_neither_change(receiver: ReceiverUnderTest):
    created = await receiver.create_stream()
    stream_id = created["stream_id"]
    async with asyncio.TaskGroup() as group:
        one = group.create_task(patch(receiver, stream_id, description="kept"))
        other = group.create_task(patch(receiver, stream_id, events_requested=[SESSION_REVOKED]))
    assert one.result().status_code == other.result().status_code == 200
    found = await read(receiver, stream_id)
    assert found["description"] == "kept"
    assert found["events_delivered"] == [SESSION_REVOKED]


# ---------------------------------------------------------------- DELETE


async def test_delete_ends_the_stream_with_all_that_waits(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    kept = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    doomed = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit()
    stream_id = doomed["stream_id"]

    response = await receiver.http.delete(STREAMS, params={"stream_id": stream_id})

    assert response.status_code == 204
    assert response.content == b""
    assert "content-type" not in response.headers
    assert await listed(receiver) == [kept]
    assert sorted(record["state"] for record in await transmitter.deliveries()) == [
        "dropped",
        "waiting",
    ]
    by_id = {"stream_id": stream_id}
    for gone in (
        await receiver.http.get(STREAMS, params=by_id),
        await receiver.http.delete(STREAMS, params=by_id),
        await patch(receiver, stream_id, description="x"),
        await put(receiver, stream_id),
        await receiver.http.get("/ssf/v1/status", params=by_id),
        await receiver.http.post("/ssf/v1/status", json={**by_id, "status": "enabled"}),
        await receiver.http.post("/ssf/v1/verify", json=by_id),
        await receiver.http.post(f"/ssf/v1/poll/{stream_id}", json={}),
    ):
        assert gone.status_code == 404, gone.request.url
    assert (await transmitter.emit())["matched"] == 1
    assert len((await poll(receiver, kept["stream_id"]))["sets"]) == 2


async def test_delete_without_a_stream_id_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    await receiver.create_stream()
    before = await everything(transmitter, receiver)
    for query in ("", "?stream=x", "?stream_id=", "?stream_id=a&stream_id=a"):
        response = await receiver.http.delete(f"{STREAMS}{query}")
        assert response.status_code == 400, query
    body = await receiver.http.request(
        "DELETE", STREAMS, json={"stream_id": before[0]["streams"][0]["stream_id"]}
    )
    assert body.status_code == 400
    assert await everything(transmitter, receiver) == before


# ---------------------------------------------------------------- secrets and addresses


async def test_the_authorization_header_is_echoed_to_its_owner_and_nobody_else(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    canary = "Bearer canary-7f3a"
    created = await receiver.create_push_stream(PUSH_URL, authorization_header=canary)
    stream_id = created["stream_id"]
    assert created["delivery"]["authorization_header"] == canary
    assert (await read(receiver, stream_id))["delivery"]["authorization_header"] == canary
    assert (await listed(receiver))[0]["delivery"]["authorization_header"] == canary
    patched = await patch(receiver, stream_id, description="x")
    assert patched.json()["delivery"]["authorization_header"] == canary
    await transmitter.emit()
    for path in (
        "/admin/v1/streams",
        "/admin/v1/receivers",
        f"/admin/v1/receivers/{receiver.client_id}",
        "/admin/v1/deliveries",
        f"/admin/v1/deliveries?stream_id={stream_id}",
    ):
        response = await transmitter.http.get(path)
        assert response.status_code == 200, path
        assert "canary" not in response.text, path
        assert "authorization" not in response.text.lower(), path
    assert "canary" not in repr(transmitter.log.lines)


async def test_f89_an_authorization_header_that_could_end_the_header_is_refused(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_push_stream(PUSH_URL, authorization_header="Bearer before")
    before = await everything(transmitter, receiver)
    for bad in (
        "",
        " ",
        "\t",
        "Bearer a\r\nX-Injected: 1",
        "Bearer a\nb",
        "Bearer a\rb",
        "Bearer a\u0000b",
        "Bearer a\x7fb",
        "Bearer a\x1bb",
        "Bearer é",
        "Bearer \u0130",
        "Bearer \U0001f600",
        " Bearer a",
        "Bearer a ",
        "Bearer a\t",
        "Bearer a\u0085",
        "Bearer " + "x" * 4090,
    ):
        delivery = {"method": PUSH, "endpoint_url": PUSH_URL, "authorization_header": bad}
        for response in (
            await create(receiver, {"delivery": delivery}),
            await patch(receiver, created["stream_id"], delivery=delivery),
            await put(receiver, created["stream_id"], delivery=delivery),
        ):
            assert response.status_code == 400, ascii(bad)[:40]
            # U+0000 is refused in any string of any body, before its members are looked at.
            if "\u0000" not in bad:
                assert response.json()["field"] == "delivery.authorization_header"
            assert "Bearer" not in response.json()["description"], "a secret is quoted"
    assert await everything(transmitter, receiver) == before


async def test_an_authorization_header_is_sent_exactly_as_given(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    receiver = await transmitter.add_receiver()
    values = ["Bearer a.b-c_~+/==", 'Custom  two blanks, "quoted"; x=y', "x", "B\tt", "y" * 4096]
    for value in values:
        created = await receiver.create_push_stream(push_receiver.url, authorization_header=value)
        assert created["delivery"]["authorization_header"] == value
    await transmitter.emit()
    await transmitter.deliver()
    sent = [one.headers["authorization"] for one in push_receiver.pushed]
    assert sorted(sent) == sorted(values)


REFUSED_URLS = [
    "http://10.0.0.1/",
    "https://10.0.0.1/",
    "https://192.168.1.1/events",
    "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://0/",
    "https://[::]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://user:pa55w0rd@receiver.example.com/",
    "https://user@receiver.example.com/",
    "https://receiver.example.com@10.0.0.1/",
    "https://receiver.example.com/#fragment",
    "https://receiver.example.com\\@10.0.0.1/",
    "https://receiver.example.com:0/",
    "https://receiver.example.com:99999/",
    "https://receiver.example.com /",
    "https://receiver.example.com/a b",
    "https://receiver.example.com/é",
    "https:///events",
    "https://",
    "//receiver.example.com/events",
    "/events",
    "receiver.example.com/events",
    "ftp://receiver.example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "urn:ietf:rfc:8935",
    "https://receiver.example.com/" + "x" * 2048,
]


async def test_a_push_url_that_must_not_be_called_is_refused_and_nothing_is_stored(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    created = await receiver.create_push_stream(PUSH_URL)
    polled = await receiver.create_stream()
    before = await everything(transmitter, receiver)
    for url in REFUSED_URLS:
        delivery = {"method": PUSH, "endpoint_url": url}
        for response in (
            await create(receiver, {"delivery": delivery}),
            await patch(receiver, created["stream_id"], delivery=delivery),
            await put(receiver, created["stream_id"], delivery=delivery),
            await patch(receiver, polled["stream_id"], delivery=delivery),
        ):
            assert response.status_code == 400, url
            assert response.json()["field"] == "delivery.endpoint_url", url
            assert "pa55w0rd" not in response.json()["description"], url
    assert await everything(transmitter, receiver) == before


async def test_without_permission_neither_http_nor_loopback_is_accepted(
    database: Database, clock: FakeClock
):
    async with running_transmitter(database, clock, allow_http=False, egress_allow="") as strict:
        receiver = await strict.add_receiver()
        for url in (
            "http://receiver.example.com/events",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://[::1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://foo.localhost/",
            "https://receiver.example.com:22/",
        ):
            response = await create(receiver, {"delivery": {"method": PUSH, "endpoint_url": url}})
            assert response.status_code == 400, url
            assert response.json()["err"] == "url_not_allowed", url
        assert await listed(receiver) == []
        await receiver.create_push_stream(PUSH_URL)
