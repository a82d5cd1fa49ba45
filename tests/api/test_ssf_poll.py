"""Polling through `/ssf/v1/poll/{stream_id}` (RFC 8936)."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ssf.store.database import Database
from tests.clients import (
    AUDIENCE,
    CREDENTIAL_CHANGE,
    ISSUER,
    PUSH,
    SESSION_REVOKED,
    SUBJECT,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock

NOTHING_WAITS: dict[str, Any] = {"sets": {}}


@pytest.fixture
async def transmitter(database: Database, clock: FakeClock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter that hands out again at once what was not acknowledged."""
    async with running_transmitter(database, clock, poll_visibility_seconds=0) as running:
        yield running


# ---------------------------------------------------------------- helpers, for other files too


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def number(part: str) -> int:
    return int.from_bytes(decoded(part), "big")


def require_es256(jwk: dict[str, Any], signature: bytes, signed: bytes) -> None:
    numbers = ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), ec.SECP256R1())
    assert len(signature) == 64
    der = encode_dss_signature(
        int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    )
    numbers.public_key().verify(der, signed, ec.ECDSA(hashes.SHA256()))


def require_rs256(jwk: dict[str, Any], signature: bytes, signed: bytes) -> None:
    key = rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
    assert key.key_size >= 2048
    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


async def verified_set(transmitter: TransmitterUnderTest, token: str) -> dict[str, Any]:
    """The claims of a SET, checked against `/jwks.json` without any code of ours."""
    encoded_header, encoded_claims, encoded_signature = token.split(".")
    header = json.loads(decoded(encoded_header))
    assert header["typ"] == "secevent+jwt"
    keys = (await transmitter.anonymous.get("/jwks.json")).json()["keys"]
    (jwk,) = [key for key in keys if key["kid"] == header["kid"]]
    assert jwk.get("alg", header["alg"]) == header["alg"]
    require = {"ES256": require_es256, "RS256": require_rs256}[header["alg"]]
    require(jwk, decoded(encoded_signature), f"{encoded_header}.{encoded_claims}".encode("ascii"))
    claims: dict[str, Any] = json.loads(decoded(encoded_claims))
    assert not {"sub", "exp"} & claims.keys()
    assert len(claims["events"]) == 1
    return claims


async def poll_response(receiver: ReceiverUnderTest, stream_id: str, **body: Any) -> httpx.Response:
    """A poll that does not wait, unless the body says so."""
    return await receiver.http.post(
        f"/ssf/v1/poll/{stream_id}", json={"returnImmediately": True, **body}
    )


async def poll(receiver: ReceiverUnderTest, stream_id: str, **body: Any) -> dict[str, Any]:
    """The answer to a poll that does not wait, unless the body says so."""
    response = await poll_response(receiver, stream_id, **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def polled_claims(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
) -> list[dict[str, Any]]:
    """The claims of everything that a poll hands out, checked, in the order of the answer."""
    sets = (await poll(receiver, stream_id))["sets"]
    found = [await verified_set(transmitter, token) for token in sets.values()]
    assert [claims["jti"] for claims in found] == list(sets)
    return found


async def polled_stream(transmitter: TransmitterUnderTest) -> tuple[ReceiverUnderTest, str]:
    """A receiver with one poll stream for session-revoked."""
    receiver = await transmitter.add_receiver()
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    return receiver, created["stream_id"]


# ---------------------------------------------------------------- what a poll hands out


async def test_a_poll_returns_signed_sets_by_their_jti(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    emitted = await transmitter.emit(payload={"initiating_entity": "admin"}, txn="cause-1")
    assert emitted["matched"] == 1

    response = await poll_response(receiver, stream_id)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"sets"}
    ((jti, token),) = response.json()["sets"].items()
    claims = await verified_set(transmitter, token)
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": clock.now() // 1_000_000,
        "jti": jti,
        "txn": "cause-1",
        "sub_id": SUBJECT,
        "events": {SESSION_REVOKED: {"initiating_entity": "admin"}},
    }


async def test_a_poll_with_an_empty_object_takes_all_defaults(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    response = await receiver.http.post(f"/ssf/v1/poll/{stream_id}", json={})
    assert response.status_code == 200
    assert len(response.json()["sets"]) == 1
    assert "moreAvailable" not in response.json()


async def test_sets_is_there_when_nothing_waits(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    assert await poll(receiver, stream_id) == NOTHING_WAITS


async def test_a_set_stays_with_the_same_claims_until_it_is_acknowledged(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    first = await polled_claims(transmitter, receiver, stream_id)
    clock.advance(3600)
    assert await polled_claims(transmitter, receiver, stream_id) == first


async def test_sets_come_in_the_order_in_which_they_were_emitted(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    for txn in ("a", "b", "c"):
        await transmitter.emit(txn=txn)
    found = await polled_claims(transmitter, receiver, stream_id)
    assert [claims["txn"] for claims in found] == ["a", "b", "c"]


async def test_only_event_types_that_are_delivered_are_handed_out(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(
        "credential-change", payload={"credential_type": "password", "change_type": "update"}
    )
    assert await poll(receiver, stream_id) == NOTHING_WAITS


async def test_each_stream_of_a_receiver_has_sets_of_its_own(transmitter: TransmitterUnderTest):
    receiver, one = await polled_stream(transmitter)
    other = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    await transmitter.emit()
    (first,) = (await poll(receiver, one))["sets"]
    (second,) = (await poll(receiver, other))["sets"]
    assert first != second


async def test_moreavailable_counts_only_what_is_not_in_the_answer(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    for _ in range(3):
        await transmitter.emit()
    few = await poll(receiver, stream_id, maxEvents=2)
    assert len(few["sets"]) == 2
    assert few["moreAvailable"] is True
    exactly = await poll(receiver, stream_id, maxEvents=3)
    assert len(exactly["sets"]) == 3
    assert exactly.get("moreAvailable", False) is False


async def test_acknowledging_what_came_makes_room_for_the_rest(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    for txn in ("a", "b", "c"):
        await transmitter.emit(txn=txn)
    got: list[str] = []
    acknowledged: list[str] = []
    for _ in range(3):
        answer = await poll(receiver, stream_id, maxEvents=1, ack=acknowledged)
        acknowledged = list(answer["sets"])
        claims = await verified_set(transmitter, answer["sets"][acknowledged[0]])
        got.append(claims["txn"])
    assert got == ["a", "b", "c"]
    assert await poll(receiver, stream_id, ack=acknowledged) == NOTHING_WAITS


# ---------------------------------------------------------------- maxEvents


async def test_f73_maxevents_zero_returns_no_set(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    assert await poll(receiver, stream_id, maxEvents=0) == NOTHING_WAITS
    await transmitter.emit()
    answer = await poll(receiver, stream_id, maxEvents=0)
    assert answer["sets"] == {}
    assert answer.get("moreAvailable") is True


async def test_f73_maxevents_zero_acknowledges(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    assert await poll(receiver, stream_id, maxEvents=0, ack=[jti]) == NOTHING_WAITS
    assert await poll(receiver, stream_id) == NOTHING_WAITS


async def test_f74_maxevents_that_is_no_whole_number_is_refused(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    values: list[Any] = [-1, -(2**63), 1.5, 1.0, 0.0, "5", "", True, False, [1], {"n": 1}]
    for value in values:
        response = await poll_response(receiver, stream_id, maxEvents=value, ack=[jti])
        assert response.status_code == 400, value
        assert response.json()["field"] == "maxEvents", value
        assert list((await poll(receiver, stream_id))["sets"]) == [jti], "a refused poll acked"


async def test_f74_maxevents_null_or_huge_means_no_limit(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    for _ in range(2):
        await transmitter.emit()
    for value in (None, 10**9, 2**64):
        answer = await poll(receiver, stream_id, maxEvents=value)
        assert len(answer["sets"]) == 2, value


async def test_members_of_the_wrong_type_are_refused_by_name(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    cases: list[tuple[str, Any]] = [
        ("returnImmediately", "true"),
        ("returnImmediately", 1),
        ("returnImmediately", []),
        ("ack", "jti"),
        ("ack", {"jti": True}),
        ("ack", [1]),
        ("ack", [None]),
        ("ack", [["jti"]]),
        ("setErrs", []),
        ("setErrs", "jti"),
        ("setErrs", {"jti": "invalid_key"}),
        ("setErrs", {"jti": None}),
        ("setErrs", {"jti": {"err": 1}}),
        ("setErrs", {"jti": {"err": "invalid_key", "description": 1}}),
    ]
    for member, value in cases:
        response = await poll_response(receiver, stream_id, **{member: value})
        assert response.status_code == 400, (member, value)
        assert response.json()["field"] == member, value


async def test_members_that_are_null_count_as_absent(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    answer = await poll(
        receiver, stream_id, maxEvents=None, returnImmediately=None, ack=None, setErrs=None
    )
    assert len(answer["sets"]) == 1


async def test_unknown_members_of_a_poll_are_ignored(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    assert list((await poll(receiver, stream_id, acks=[jti], more=1))["sets"]) == [jti]


# ---------------------------------------------------------------- ack


async def test_an_acknowledged_set_never_comes_again(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    emitted = await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    assert await poll(receiver, stream_id, ack=[jti]) == NOTHING_WAITS
    (delivery,) = await transmitter.deliveries(event_id=emitted["event_id"])
    assert delivery["jti"] == jti
    assert delivery["state"] == "delivered"


async def test_f75_repeated_and_unknown_acknowledgements_are_ignored(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(txn="a")
    await transmitter.emit(txn="b")
    one, other = (await poll(receiver, stream_id))["sets"]
    for ack in ([one, one], [one], ["never-heard-of"], [one, "never-heard-of"], []):
        answer = await poll(receiver, stream_id, ack=ack)
        assert list(answer["sets"]) == [other]


async def test_f76_a_jti_of_another_receiver_is_left_alone(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    thief, thiefs_stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    before = await poll(receiver, stream_id)
    (jti,) = before["sets"]

    acknowledged = await poll(thief, thiefs_stream_id, ack=[jti])
    refused = await poll(
        thief, thiefs_stream_id, setErrs={jti: {"err": "invalid_key", "description": "no"}}
    )

    assert len(acknowledged["sets"]) == 1
    assert len(refused["sets"]) == 1
    assert (await poll(receiver, stream_id))["sets"].keys() == {jti}
    (delivery,) = await transmitter.deliveries(stream_id=stream_id)
    assert delivery["state"] == "waiting"


async def test_f76_a_jti_of_another_stream_of_the_same_receiver_is_left_alone(
    transmitter: TransmitterUnderTest,
):
    receiver, one = await polled_stream(transmitter)
    other = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    await transmitter.emit()
    (jti,) = (await poll(receiver, one))["sets"]
    await poll(receiver, other, ack=[jti])
    assert list((await poll(receiver, one))["sets"]) == [jti]


async def test_f79_ten_thousand_acknowledgements_pass_and_one_more_is_refused(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    too_many = [jti, *(f"jti-{count}" for count in range(10_000))]

    refused = await poll_response(receiver, stream_id, ack=too_many)

    assert refused.status_code == 400
    assert refused.json()["field"] == "ack"
    assert list((await poll(receiver, stream_id))["sets"]) == [jti]
    assert await poll(receiver, stream_id, ack=too_many[:10_000]) == NOTHING_WAITS


async def test_f79_more_than_ten_thousand_seterrs_are_refused(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    too_many = {f"jti-{count}": {"err": "invalid_key"} for count in range(10_001)}
    refused = await poll_response(receiver, stream_id, setErrs=too_many)
    assert refused.status_code in {400, 413}


# ---------------------------------------------------------------- setErrs


async def test_a_set_in_error_is_dead_and_never_comes_again(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(txn="a")
    await transmitter.emit(txn="b")
    bad, good = (await poll(receiver, stream_id))["sets"]

    answer = await poll(
        receiver,
        stream_id,
        setErrs={bad: {"err": "invalid_audience", "description": "not for us"}},
    )

    assert list(answer["sets"]) == [good]
    (dead,) = await transmitter.deliveries(state="dead")
    assert dead["jti"] == bad
    assert dead["last_outcome"] == "invalid_audience"
    assert dead["last_description"] == "not for us"


async def test_a_set_error_may_have_an_unknown_code_and_no_description(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    answer = await poll(receiver, stream_id, setErrs={jti: {"err": "urn:example:odd"}})
    assert answer == NOTHING_WAITS
    (dead,) = await transmitter.deliveries(state="dead")
    assert dead["last_outcome"] == "urn:example:odd"
    assert dead["last_description"] is None


async def test_a_set_error_for_an_unknown_jti_is_ignored(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    answer = await poll(receiver, stream_id, setErrs={"nobody": {"err": "invalid_key"}})
    assert answer == NOTHING_WAITS


async def test_of_ack_and_error_for_the_same_set_the_error_wins(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    answer = await poll(receiver, stream_id, ack=[jti], setErrs={jti: {"err": "invalid_request"}})
    assert answer == NOTHING_WAITS
    (delivery,) = await transmitter.deliveries(stream_id=stream_id)
    assert delivery["state"] == "dead"


async def test_a_late_error_does_not_undo_an_acknowledgement(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    await poll(receiver, stream_id, ack=[jti])
    await poll(receiver, stream_id, setErrs={jti: {"err": "invalid_request"}})
    (delivery,) = await transmitter.deliveries(stream_id=stream_id)
    assert delivery["state"] == "delivered"


# ---------------------------------------------------------------- the status of the stream


async def set_status(receiver: ReceiverUnderTest, stream_id: str, status: str) -> None:
    response = await receiver.http.post(
        "/ssf/v1/status", json={"stream_id": stream_id, "status": status}
    )
    assert response.status_code == 200, response.text


async def test_f81_a_push_stream_cannot_be_polled(transmitter: TransmitterUnderTest):
    receiver = await transmitter.add_receiver()
    created = await receiver.create_push_stream("https://receiver.example.com/events")
    response = await poll_response(receiver, created["stream_id"])
    assert response.status_code == 400
    assert response.json()["err"] == "wrong_delivery_method"


async def test_f81_a_paused_stream_holds_its_sets_and_takes_acknowledgements(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(txn="a")
    (first,) = (await poll(receiver, stream_id))["sets"]
    await set_status(receiver, stream_id, "paused")
    await transmitter.emit(txn="b")

    assert await poll(receiver, stream_id, ack=[first]) == NOTHING_WAITS

    (settled, held) = await transmitter.deliveries(stream_id=stream_id)
    assert settled["state"] == "delivered"
    assert held["state"] == "waiting"
    await set_status(receiver, stream_id, "enabled")
    assert list((await poll(receiver, stream_id))["sets"]) == [held["jti"]]


async def test_f81_a_disabled_stream_answers_at_once_and_takes_acknowledgements(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    await set_status(receiver, stream_id, "disabled")
    assert await poll(receiver, stream_id, ack=[jti], returnImmediately=False) == NOTHING_WAITS
    await set_status(receiver, stream_id, "enabled")
    assert await poll(receiver, stream_id) == NOTHING_WAITS


async def test_f81_a_deleted_stream_is_not_found(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await receiver.http.delete("/ssf/v1/streams", params={"stream_id": stream_id})
    assert (await poll_response(receiver, stream_id)).status_code == 404


async def test_a_stream_changed_from_push_to_poll_hands_out_what_was_not_pushed(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    created = await receiver.create_push_stream("https://receiver.example.com/events")
    stream_id = created["stream_id"]
    await transmitter.emit(txn="waits")
    await receiver.http.patch(
        "/ssf/v1/streams",
        json={"stream_id": stream_id, "delivery": {"method": "urn:ietf:rfc:8936"}},
    )
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    assert claims["txn"] == "waits"


# ---------------------------------------------------------------- long polls


async def test_a_poll_that_waits_is_answered_by_the_next_event(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(poll(receiver, stream_id, returnImmediately=False))
        assert not (await transmitter.deliveries(stream_id=stream_id))
        assert not waiting.done()
        await transmitter.emit(txn="wakes")
    ((_, token),) = waiting.result()["sets"].items()
    assert (await verified_set(transmitter, token))["txn"] == "wakes"


async def test_a_poll_for_no_events_waits_for_one_and_returns_none(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(poll(receiver, stream_id, maxEvents=0, returnImmediately=False))
        await transmitter.emit()
    assert waiting.result()["sets"] == {}


async def test_acknowledgements_are_taken_before_the_wait(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(txn="first")
    (first,) = (await poll(receiver, stream_id))["sets"]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(poll(receiver, stream_id, ack=[first], returnImmediately=False))
        while (await transmitter.deliveries(stream_id=stream_id))[0]["state"] == "waiting":
            assert not waiting.done()
        await transmitter.emit(txn="second")
    assert first not in waiting.result()["sets"]
    assert len(waiting.result()["sets"]) == 1


async def test_f81_a_poll_that_waits_on_a_paused_stream_ends_when_it_is_enabled(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await set_status(receiver, stream_id, "paused")
    await transmitter.emit()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(poll(receiver, stream_id, returnImmediately=False))
        await set_status(receiver, stream_id, "enabled")
    assert len(waiting.result()["sets"]) == 1


async def test_f81_a_poll_that_waits_ends_with_not_found_when_the_stream_is_deleted(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(poll_response(receiver, stream_id, returnImmediately=False))
        await receiver.http.delete("/ssf/v1/streams", params={"stream_id": stream_id})
    assert waiting.result().status_code == 404


async def test_f81_a_poll_that_waits_ends_when_the_stream_is_changed_to_push(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(poll_response(receiver, stream_id, returnImmediately=False))
        await receiver.http.patch(
            "/ssf/v1/streams",
            json={
                "stream_id": stream_id,
                "delivery": {"method": PUSH, "endpoint_url": "https://receiver.example.com/e"},
            },
        )
    assert waiting.result().status_code == 400
    assert waiting.result().json()["err"] == "wrong_delivery_method"


# ---------------------------------------------------------------- the request as a whole


async def test_f82_a_body_that_is_no_json_object_is_refused(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    for content in (b"", b"[]", b"null", b"{", b'"ack"', b"1"):
        response = await receiver.http.post(
            f"/ssf/v1/poll/{stream_id}",
            content=content,
            headers={"Content-Type": "application/json"},
        )
        assert response.status_code == 400, content


async def test_f82_another_content_type_is_refused(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    for content_type in (None, "text/plain", "application/secevent+jwt"):
        response = await receiver.http.post(
            f"/ssf/v1/poll/{stream_id}",
            content=b'{"returnImmediately":true}',
            headers={} if content_type is None else {"Content-Type": content_type},
        )
        assert response.status_code in {400, 415}, content_type


async def test_a_content_type_may_have_parameters_and_any_case(transmitter: TransmitterUnderTest):
    receiver, stream_id = await polled_stream(transmitter)
    response = await receiver.http.post(
        f"/ssf/v1/poll/{stream_id}",
        content=b'{"returnImmediately":true}',
        headers={"Content-Type": "Application/JSON; charset=utf-8"},
    )
    assert response.status_code == 200


async def test_a_path_with_a_control_character_is_refused_on_every_database(
    transmitter: TransmitterUnderTest,
):
    receiver, _ = await polled_stream(transmitter)
    response = await receiver.http.post("/ssf/v1/poll/%00", json={"returnImmediately": True})
    assert response.status_code in {400, 404}


async def test_a_stream_that_delivers_two_types_hands_out_both(transmitter: TransmitterUnderTest):
    receiver = await transmitter.add_receiver()
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED, CREDENTIAL_CHANGE])
    await transmitter.emit(
        "credential-change", payload={"credential_type": "password", "change_type": "update"}
    )
    await transmitter.emit("session-revoked")
    found = await polled_claims(transmitter, receiver, created["stream_id"])
    assert [next(iter(claims["events"])) for claims in found] == [
        CREDENTIAL_CHANGE,
        SESSION_REVOKED,
    ]
