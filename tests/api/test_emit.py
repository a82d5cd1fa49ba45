"""Events in through `POST /admin/v1/events`, and what becomes of them."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from ssf.protocol.event_types import EVENT_TYPES
from ssf.protocol.events import example_payload, example_subject
from tests.api.test_ssf_poll import poll, polled_claims, set_status, verified_set
from tests.api.test_ssf_streams import everything
from tests.clients import (
    AUDIENCE,
    CREDENTIAL_CHANGE,
    EVERYTHING_ON_OFFER,
    ISSUER,
    SESSION_REVOKED,
    SUBJECT,
    TOKEN_CLAIMS_CHANGE,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import Answer, FakeClock, RecordingReceiver

EVENTS = "/admin/v1/events"
STREAM_UPDATED = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
PLAIN = {"event_type": "session-revoked", "subject": SUBJECT}
SHAPED = {"events": {SESSION_REVOKED: {}}, "sub_id": SUBJECT}


async def offer(
    transmitter: TransmitterUnderTest, body: Any, *, key: str | None = None
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await transmitter.http.post(EVENTS, json=body, headers=headers)


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    return await transmitter.add_receiver()


@pytest.fixture
async def stream_id(receiver: ReceiverUnderTest) -> str:
    """A poll stream for every event type."""
    created = await receiver.create_stream(events_requested=EVERYTHING_ON_OFFER)
    found: str = created["stream_id"]
    return found


# ---------------------------------------------------------------- taken in


async def test_an_event_is_answered_with_its_name_and_how_many_streams_get_it(
    transmitter: TransmitterUnderTest, stream_id: str
):
    response = await offer(transmitter, PLAIN)
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert "idempotent-replayed" not in response.headers
    assert response.json().keys() == {"event_id", "matched"}
    assert response.json()["matched"] == 1
    again = await offer(transmitter, PLAIN)
    assert again.json()["event_id"] != response.json()["event_id"]


async def test_an_event_that_nobody_wants_is_taken_in_all_the_same(
    transmitter: TransmitterUnderTest,
):
    response = await offer(transmitter, PLAIN)
    assert response.status_code == 202
    assert response.json()["matched"] == 0
    assert await transmitter.deliveries(event_id=response.json()["event_id"]) == []


async def test_every_event_type_arrives_in_both_shapes_by_name_and_by_uri(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    for uri in EVERYTHING_ON_OFFER:
        payload, subject = example_payload(uri), example_subject(uri)
        for body in (
            {"event_type": uri, "subject": subject, "payload": payload},
            {"event_type": EVENT_TYPES[uri].name, "subject": subject, "payload": payload},
            {"events": {uri: payload}, "sub_id": subject},
        ):
            response = await offer(transmitter, body)
            assert response.status_code == 202, (uri, response.text)
            (claims,) = await polled_claims(transmitter, receiver, stream_id)
            assert claims["events"] == {uri: payload}
            assert claims["sub_id"] == subject
            await poll(receiver, stream_id, ack=[claims["jti"]])


async def test_a_pushed_set_carries_what_was_emitted_and_nothing_else(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
    clock: FakeClock,
):
    created = await receiver.create_push_stream(push_receiver.url, CREDENTIAL_CHANGE)
    payload = {
        "credential_type": "fido2-roaming",
        "change_type": "revoke",
        "reason_admin": {"en": "lost", "de": "verloren: ü"},
        "event_timestamp": 1_799_999_000.5,
        "extension": {"kept": [1, 2.5, None, True, "x"]},
    }
    emitted = await transmitter.emit("credential-change", payload=payload, txn="t-1")
    clock.advance(100)
    assert await transmitter.deliver() == 1

    (pushed,) = push_receiver.pushed
    claims = await verified_set(transmitter, pushed.body)
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": clock.now() // 1_000_000 - 100,
        "jti": claims["jti"],
        "txn": "t-1",
        "sub_id": SUBJECT,
        "events": {CREDENTIAL_CHANGE: payload},
    }
    (record,) = await transmitter.deliveries(event_id=emitted["event_id"])
    assert record["jti"] == claims["jti"]
    assert record["stream_id"] == created["stream_id"]
    assert record["event_type"] == CREDENTIAL_CHANGE
    assert record["state"] == "delivered"
    assert record["last_status"] == 202
    assert record["attempts"] == 1
    assert record["next_attempt_at"] is None


async def test_subjects_of_every_kind_arrive_as_they_were(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    subjects: list[dict[str, Any]] = [
        {"format": "email", "email": "User@Example.com"},
        {"format": "iss_sub", "iss": "https://idp.example", "sub": "145234573"},
        {"format": "opaque", "id": "ü ✓ 😀"},
        {"format": "phone_number", "phone_number": "+12065550100"},
        {"format": "account", "uri": "acct:user@example.com"},
        {"format": "did", "url": "did:example:123456"},
        {"format": "aliases", "identifiers": [SUBJECT, {"format": "opaque", "id": "x"}]},
        {
            "format": "complex",
            "user": SUBJECT,
            "tenant": {"format": "opaque", "id": "t"},
        },
    ]
    for subject in subjects:
        assert (await offer(transmitter, {**PLAIN, "subject": subject})).status_code == 202, subject
    found = await polled_claims(transmitter, receiver, stream_id)
    assert [claims["sub_id"] for claims in found] == subjects


# ---------------------------------------------------------------- who gets it


async def test_only_streams_that_want_the_type_match(transmitter: TransmitterUnderTest):
    wanted = [[SESSION_REVOKED], [CREDENTIAL_CHANGE], [SESSION_REVOKED, CREDENTIAL_CHANGE], []]
    for events in wanted:
        receiver = await transmitter.add_receiver()
        await receiver.create_stream(events_requested=events)
    await (await transmitter.add_receiver()).create_stream()
    payload = {"credential_type": "password", "change_type": "update"}
    assert (await transmitter.emit("session-revoked"))["matched"] == 2
    assert (await transmitter.emit("credential-change", payload=payload))["matched"] == 2
    claims = {"claims": {"role": "x"}}
    assert (await transmitter.emit(TOKEN_CLAIMS_CHANGE, payload=claims))["matched"] == 0


async def test_enabled_and_paused_streams_match_and_disabled_ones_do_not(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest
):
    streams = {
        status: (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
        for status in ("enabled", "paused", "disabled")
    }
    for status, stream_id in streams.items():
        await set_status(receiver, stream_id, status)
    emitted = await transmitter.emit()
    assert emitted["matched"] == 2
    records = await transmitter.deliveries(event_id=emitted["event_id"])
    assert {record["stream_id"]: record["state"] for record in records} == {
        streams["enabled"]: "waiting",
        streams["paused"]: "waiting",
        streams["disabled"]: "dropped",
    }


async def test_an_audience_narrows_down_who_gets_the_event(transmitter: TransmitterUnderTest):
    one = await transmitter.add_receiver(audience="https://one.example")
    two = await transmitter.add_receiver(audience=["https://two.example", "https://both.example"])
    for receiver in (one, two):
        await receiver.create_stream(events_requested=[SESSION_REVOKED])
    cases: list[tuple[Any, int]] = [
        ("https://one.example", 1),
        (["https://one.example"], 1),
        (["https://one.example", "https://both.example"], 2),
        (["https://two.example", "https://both.example"], 1),
        ("https://ONE.example", 0),
        ("https://one.example/", 0),
        ("https://nobody.example", 0),
    ]
    for audience, matched in cases:
        for body in (PLAIN, SHAPED):
            response = await offer(transmitter, {**body, "audience": audience})
            assert response.status_code == 202, audience
            assert response.json()["matched"] == matched, audience
    assert (await transmitter.emit())["matched"] == 2


# ---------------------------------------------------------------- txn and toe


async def test_txn_is_handed_on_and_shared_by_all_sets_of_the_cause(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    other = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    for body in (PLAIN, SHAPED):
        assert (await offer(transmitter, {**body, "txn": "cause-1"})).status_code == 202
    for stream in (stream_id, other):
        found = await polled_claims(transmitter, receiver, stream)
        assert [claims["txn"] for claims in found] == ["cause-1", "cause-1"]


async def test_without_a_txn_each_event_gets_one_of_its_own(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    await transmitter.emit()
    await transmitter.emit()
    txns = [claims["txn"] for claims in await polled_claims(transmitter, receiver, stream_id)]
    assert len(set(txns)) == 2
    assert all(isinstance(txn, str) and txn for txn in txns)


async def test_occurred_at_becomes_toe(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    cases: list[tuple[Any, float]] = [
        (1_700_000_000, 1_700_000_000),
        (1_700_000_000.25, 1_700_000_000.25),
        (0, 0),
        ("2026-01-31T12:00:00Z", 1_769_860_800),
        ("2026-01-31T13:00:00+01:00", 1_769_860_800),
        ("2026-01-31T12:00:00.5Z", 1_769_860_800.5),
    ]
    for occurred_at, _ in cases:
        response = await offer(transmitter, {**PLAIN, "occurred_at": occurred_at})
        assert response.status_code == 202, (occurred_at, response.text)
    found = await polled_claims(transmitter, receiver, stream_id)
    assert [claims["toe"] for claims in found] == [toe for _, toe in cases]


async def test_a_set_shaped_event_may_carry_toe(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    assert (await offer(transmitter, {**SHAPED, "toe": 1_700_000_000})).status_code == 202
    assert (await offer(transmitter, SHAPED)).status_code == 202
    first, second = await polled_claims(transmitter, receiver, stream_id)
    assert first["toe"] == 1_700_000_000
    assert "toe" not in second


async def test_a_time_that_is_none_is_refused_by_name(
    transmitter: TransmitterUnderTest, stream_id: str
):
    before = await everything(transmitter)
    values: list[Any] = [
        -1,
        1_700_000_000_000,
        10**29,
        1e300,
        "yesterday",
        "",
        "1700000000",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        True,
        [1_700_000_000],
        {"at": 1},
    ]
    for value in values:
        response = await offer(transmitter, {**PLAIN, "occurred_at": value})
        assert response.status_code == 400, value
        assert response.json()["field"].split(".")[0] == "occurred_at", value
    for value in (-1, 1_700_000_000_000, "2026-01-31T12:00:00Z", True, [1]):
        response = await offer(transmitter, {**SHAPED, "toe": value})
        assert response.status_code == 400, value
        assert response.json()["field"].split(".")[0] == "toe", value
    assert await everything(transmitter) == before


async def test_the_field_of_a_refusal_is_a_member_of_the_body(transmitter: TransmitterUnderTest):
    for body, field in (
        ({**PLAIN, "occurred_at": True}, "occurred_at"),
        ({**SHAPED, "toe": True}, "toe"),
        ({**PLAIN, "audience": 5}, "audience"),
        ({**PLAIN, "audience": []}, "audience"),
    ):
        response = await offer(transmitter, body)
        assert response.status_code == 400, field
        assert response.json()["field"] == field


async def test_a_txn_or_audience_that_is_none_is_refused_by_name(
    transmitter: TransmitterUnderTest, stream_id: str
):
    before = await everything(transmitter)
    cases: list[tuple[str, Any]] = [
        ("txn", 5),
        ("txn", ""),
        ("txn", ["x"]),
        ("txn", "a\r\nb"),
        ("txn", "a\x7fb"),
        ("txn", "x" * 1025),
        ("audience", 5),
        ("audience", ""),
        ("audience", []),
        ("audience", [5]),
        ("audience", {"aud": "x"}),
    ]
    for name, value in cases:
        for body in (PLAIN, SHAPED):
            response = await offer(transmitter, {**body, name: value})
            assert response.status_code == 400, (name, value)
            assert response.json()["field"].split(".")[0] == name, (name, value)
    assert await everything(transmitter) == before


# ---------------------------------------------------------------- refused


async def test_unknown_members_are_refused_by_name(
    transmitter: TransmitterUnderTest, stream_id: str
):
    before = await everything(transmitter)
    for name in ("extra", "sub", "exp", "jti", "iss", "project", "Event_Type", ""):
        for body in (PLAIN, SHAPED):
            response = await offer(transmitter, {**body, name: "x"})
            assert response.status_code == 400, name
            assert response.json()["field"] == name, name
    for body, name in (
        ({**SHAPED, "event_type": "session-revoked"}, "event_type"),
        ({**SHAPED, "subject": SUBJECT}, "subject"),
        ({**SHAPED, "occurred_at": 1}, "occurred_at"),
        ({**PLAIN, "toe": 1}, "toe"),
        ({**PLAIN, "sub_id": SUBJECT}, "sub_id"),
    ):
        response = await offer(transmitter, body)
        assert response.status_code == 400, name
        assert response.json()["field"] == name, name
    assert await everything(transmitter) == before


async def test_what_is_missing_is_named(transmitter: TransmitterUnderTest):
    for body, name in (
        ({}, "event_type"),
        ({"event_type": "session-revoked"}, "subject"),
        ({"subject": SUBJECT}, "event_type"),
        ({"events": {SESSION_REVOKED: {}}}, "sub_id"),
        ({"events": {}, "sub_id": SUBJECT}, "events"),
        ({"events": {SESSION_REVOKED: {}, CREDENTIAL_CHANGE: {}}, "sub_id": SUBJECT}, "events"),
        ({"events": [], "sub_id": SUBJECT}, "events"),
        ({"events": None, "sub_id": SUBJECT}, "events"),
        ({**PLAIN, "payload": None}, "payload"),
        ({**PLAIN, "payload": []}, "payload"),
        ({**PLAIN, "event_type": None}, "event_type"),
        ({**PLAIN, "event_type": ["session-revoked"]}, "event_type"),
        ({**PLAIN, "subject": "user@example.com"}, "subject"),
        ({**PLAIN, "subject": None}, "subject"),
    ):
        response = await offer(transmitter, body)
        assert response.status_code == 400, body
        assert response.json()["field"] == name, body


MALFORMED_PAYLOADS: list[tuple[str, dict[str, Any], str]] = [
    (SESSION_REVOKED, {"reason_admin": "text"}, "reason_admin"),
    (SESSION_REVOKED, {"reason_user": {}}, "reason_user"),
    (SESSION_REVOKED, {"reason_admin": {"en": 5}}, "reason_admin.en"),
    (SESSION_REVOKED, {"initiating_entity": "robot"}, "initiating_entity"),
    (SESSION_REVOKED, {"event_timestamp": "now"}, "event_timestamp"),
    (SESSION_REVOKED, {"event_timestamp": 1_700_000_000_000}, "event_timestamp"),
    (CREDENTIAL_CHANGE, {"credential_type": "password"}, "change_type"),
    (CREDENTIAL_CHANGE, {"credential_type": 5, "change_type": "update"}, "credential_type"),
    (CREDENTIAL_CHANGE, {"credential_type": "x", "change_type": "alter"}, "change_type"),
    (TOKEN_CLAIMS_CHANGE, {}, "claims"),
    (TOKEN_CLAIMS_CHANGE, {"claims": {}}, "claims"),
]


async def test_a_malformed_payload_is_refused_and_the_member_is_named(
    transmitter: TransmitterUnderTest, stream_id: str
):
    before = await everything(transmitter)
    for uri, payload, member in MALFORMED_PAYLOADS:
        for body in (
            {"event_type": uri, "subject": SUBJECT, "payload": payload},
            {"events": {uri: payload}, "sub_id": SUBJECT},
        ):
            response = await offer(transmitter, body)
            assert response.status_code == 400, (uri, payload)
            assert response.json()["err"] == "invalid_event", (uri, payload)
            assert response.json()["field"].endswith(f".{member}"), (uri, payload)
    assert await everything(transmitter) == before


async def test_the_path_of_a_malformed_member_is_its_path_in_the_request(
    transmitter: TransmitterUnderTest,
):
    payload = {"reason_admin": {"en": 5}}
    plain = await offer(transmitter, {**PLAIN, "payload": payload})
    assert plain.json()["field"] == "payload.reason_admin.en"
    shaped = await offer(transmitter, {**SHAPED, "events": {SESSION_REVOKED: payload}})
    assert shaped.json()["field"] == f"events.{SESSION_REVOKED}.reason_admin.en"


async def test_f91_a_malformed_subject_is_refused_and_named(
    transmitter: TransmitterUnderTest, stream_id: str
):
    before = await everything(transmitter)
    opaque = {"format": "opaque", "id": "x"}
    subjects: list[dict[str, Any]] = [
        {},
        {"format": "email"},
        {"format": "email", "email": ""},
        {"format": "email", "email": "no-at"},
        {"format": "email", "email": "a@" + "b" * 10_000},
        {"format": "email", "email": "user@example.com", "more": 1},
        {"format": "phone_number", "phone_number": "call me"},
        {"format": "iss_sub", "iss": "https://idp.example"},
        {"format": "opaque", "id": "a\nb"},
        {"format": "aliases", "identifiers": []},
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [opaque]}]},
        {"format": "complex"},
        {"format": "complex", "user": {"format": "complex", "user": opaque}},
        {"format": "complex", "user": "x"},
        {"format": "complex", **{f"m{count}": opaque for count in range(101)}},
        {"format": ["email"], "email": "user@example.com"},
        {"email": "user@example.com"},
    ]
    for subject in subjects:
        plain = await offer(transmitter, {**PLAIN, "subject": subject})
        assert plain.status_code == 400, subject
        assert plain.json()["field"].split(".")[0] == "subject", subject
        shaped = await offer(transmitter, {**SHAPED, "sub_id": subject})
        assert shaped.status_code == 400, subject
        assert shaped.json()["field"].split(".")[0] == "sub_id", subject
    assert await everything(transmitter) == before


async def test_an_unknown_event_type_is_refused(transmitter: TransmitterUnderTest, stream_id: str):
    before = await everything(transmitter)
    for name in (
        "session-ended",
        "Session-Revoked",
        SESSION_REVOKED.upper(),
        f"{SESSION_REVOKED}/",
        "https://example.com/event-type/x",
    ):
        plain = await offer(transmitter, {**PLAIN, "event_type": name})
        assert plain.status_code == 400, name
        assert plain.json()["err"] == "unknown_event_type", name
        assert plain.json()["field"] == "event_type", name
        shaped = await offer(transmitter, {**SHAPED, "events": {name: {}}})
        assert shaped.status_code == 400, name
        assert shaped.json()["err"] == "unknown_event_type", name
    assert await everything(transmitter) == before


async def test_an_unknown_event_type_in_a_set_shaped_body_is_found_under_events(
    transmitter: TransmitterUnderTest,
):
    response = await offer(transmitter, {**SHAPED, "events": {"https://example.com/x": {}}})
    assert response.json()["field"].split(".")[0] == "events"


async def test_events_of_the_protocol_itself_are_refused(
    transmitter: TransmitterUnderTest, stream_id: str
):
    before = await everything(transmitter)
    for name, payload in (
        ("verification", {"state": "forged"}),
        (VERIFICATION, {}),
        ("stream-updated", {"status": "disabled"}),
        (STREAM_UPDATED, {"status": "disabled"}),
    ):
        subject = {"format": "opaque", "id": stream_id}
        for body in (
            {"event_type": name, "subject": subject, "payload": payload},
            {"events": {name: payload}, "sub_id": subject},
        ):
            response = await offer(transmitter, body)
            assert response.status_code == 400, name
    assert await everything(transmitter) == before


# ---------------------------------------------------------------- Idempotency-Key


async def test_f94_the_same_key_and_body_make_one_event_and_one_delivery(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
    clock: FakeClock,
):
    await receiver.create_push_stream(push_receiver.url)
    first = await offer(transmitter, PLAIN, key="key-1")
    assert first.status_code == 202
    assert "idempotent-replayed" not in first.headers
    await transmitter.deliver()
    clock.advance(3600)
    await receiver.create_push_stream(push_receiver.url)

    again = await offer(transmitter, PLAIN, key="key-1")

    assert again.status_code == 202
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    await transmitter.deliver()
    assert len(push_receiver.pushed) == 1
    assert len(await transmitter.deliveries()) == 1


async def test_f94_the_same_key_with_another_body_is_refused(
    transmitter: TransmitterUnderTest, stream_id: str
):
    first = await offer(transmitter, PLAIN, key="key-1")
    before = await everything(transmitter)
    for body in ({**PLAIN, "txn": "other"}, SHAPED, {**PLAIN, "payload": {}}):
        response = await offer(transmitter, body, key="key-1")
        assert response.status_code == 422, body
    assert await everything(transmitter) == before
    other = await offer(transmitter, PLAIN, key="key-2")
    assert other.json()["event_id"] != first.json()["event_id"]
    assert (await offer(transmitter, PLAIN, key="key-1")).json() == first.json()


async def test_f94_a_refused_event_does_not_use_up_its_key(
    transmitter: TransmitterUnderTest, stream_id: str
):
    refused = await offer(transmitter, {**PLAIN, "event_type": "no-such"}, key="key-1")
    assert refused.status_code == 400
    taken = await offer(transmitter, PLAIN, key="key-1")
    assert taken.status_code == 202
    assert "idempotent-replayed" not in taken.headers


async def test_f94_a_key_outlives_the_transmitter(
    transmitter: TransmitterUnderTest, stream_id: str, clock: FakeClock
):
    first = await offer(transmitter, PLAIN, key="key-1")
    async with running_transmitter(transmitter.database, clock) as second:
        again = await offer(second, PLAIN, key="key-1")
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"


async def test_f94_of_requests_with_the_same_key_at_once_one_makes_the_event(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    async with asyncio.TaskGroup() as group:
        offering = [group.create_task(offer(transmitter, PLAIN, key="key-1")) for _ in range(8)]
    answers = [task.result() for task in offering]
    assert {response.status_code for response in answers} == {202}
    assert len({response.json()["event_id"] for response in answers}) == 1
    replayed = [response.headers.get("idempotent-replayed") for response in answers]
    assert sorted(replayed, key=str) == [None, *["true"] * 7]
    assert len((await poll(receiver, stream_id))["sets"]) == 1


async def test_f94_of_different_bodies_with_the_same_key_at_once_one_is_taken(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    async with asyncio.TaskGroup() as group:
        offering = [
            group.create_task(offer(transmitter, {**PLAIN, "txn": f"t{count}"}, key="key-1"))
            for count in range(4)
        ]
    assert sorted(task.result().status_code for task in offering) == [202, 422, 422, 422]
    assert len((await poll(receiver, stream_id))["sets"]) == 1


async def test_f94_a_key_that_cannot_be_one_is_refused(
    transmitter: TransmitterUnderTest, stream_id: str
):
    before = await everything(transmitter)
    content = json.dumps(PLAIN).encode()
    for values in ([b""], [b"x" * 256], [b"x" * 1024], [b"\xc3\xa9"], [b"a\tb"], [b"a", b"a"]):
        headers = [(b"Content-Type", b"application/json")]
        headers += [(b"Idempotency-Key", value) for value in values]
        response = await transmitter.http.post(EVENTS, content=content, headers=headers)
        assert response.status_code == 400, values[0][:10]
        assert response.json()["field"] == "Idempotency-Key", values[0][:10]
    assert await everything(transmitter) == before
    assert (await offer(transmitter, PLAIN, key="x" * 255)).status_code == 202


# ---------------------------------------------------------------- deliveries as operators see them


async def test_deliveries_can_be_found_by_event_stream_and_state(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    other = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    first, second = await transmitter.emit(), await transmitter.emit()
    (jti, _) = (await poll(receiver, stream_id))["sets"]
    await poll(receiver, stream_id, ack=[jti])

    assert len(await transmitter.deliveries()) == 4
    assert len(await transmitter.deliveries(event_id=first["event_id"])) == 2
    assert len(await transmitter.deliveries(stream_id=other)) == 2
    (delivered,) = await transmitter.deliveries(state="delivered")
    assert delivered["jti"] == jti
    assert delivered["event_id"] == first["event_id"]
    assert delivered["stream_id"] == stream_id
    (both,) = await transmitter.deliveries(
        event_id=second["event_id"], stream_id=stream_id, state="waiting"
    )
    assert both["attempts"] == 1
    assert await transmitter.deliveries(event_id=first["event_id"], state="dead") == []


async def test_deliveries_come_in_pages(transmitter: TransmitterUnderTest, stream_id: str):
    for _ in range(5):
        await transmitter.emit()
    seen: list[int] = []
    query: dict[str, Any] = {"limit": 2}
    pages = 0
    while True:
        page = (await transmitter.http.get("/admin/v1/deliveries", params=query)).json()
        seen += [record["id"] for record in page["deliveries"]]
        pages += 1
        if "next" not in page:
            break
        query["after"] = page["next"]
    assert pages == 3
    assert seen == sorted(set(seen))
    assert len(seen) == 5


async def test_a_query_for_deliveries_that_cannot_be_one_is_refused(
    transmitter: TransmitterUnderTest,
):
    for query in (
        "state=lost",
        "state=",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=%D9%A1",
        "limit=99999999999999999999999",
        "after=-1",
        "after=x",
        "after=99999999999999999999999",
        "limit=1&limit=2",
        "event_id=a%00b",
        "stream_id=a%00b",
    ):
        response = await transmitter.http.get(f"/admin/v1/deliveries?{query}")
        assert response.status_code == 400, query
    unknown = await transmitter.http.get("/admin/v1/deliveries?event_id=evt_nobody")
    assert unknown.status_code == 404
    nothing = await transmitter.http.get("/admin/v1/deliveries?stream_id=nobody")
    assert nothing.status_code in {200, 404}


async def test_a_refused_push_is_dead_with_the_receivers_words(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
):
    await receiver.create_push_stream(push_receiver.url)
    body = json.dumps({"err": "invalid_audience", "description": "not us"}).encode()
    push_receiver.answer = lambda _pushed: Answer(
        status=400, body=body, headers={"content-type": "application/json"}
    )
    emitted = await transmitter.emit()
    await transmitter.deliver()
    (record,) = await transmitter.deliveries(event_id=emitted["event_id"])
    assert record["state"] == "dead"
    assert record["last_status"] == 400
    assert record["last_outcome"] == "invalid_audience"
    assert record["last_description"] == "not us"


async def test_a_failed_push_is_repeated_with_the_same_claims(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
    clock: FakeClock,
):
    await receiver.create_push_stream(push_receiver.url)
    push_receiver.answer = lambda _pushed: Answer(
        status=500 if len(push_receiver.pushed) == 0 else 202
    )
    await transmitter.emit()
    assert await transmitter.deliver() == 1
    (waiting,) = await transmitter.deliveries()
    assert waiting["state"] == "waiting"
    assert waiting["attempts"] == 1
    clock.advance(3600)
    assert await transmitter.deliver() == 1
    first, second = push_receiver.pushed
    assert await verified_set(transmitter, first.body) == await verified_set(
        transmitter, second.body
    )
    (delivered,) = await transmitter.deliveries()
    assert delivered["state"] == "delivered"
    assert delivered["attempts"] == 2
