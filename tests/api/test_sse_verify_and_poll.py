"""`/sse/v1/verify` and `/sse/v1/poll`: no `stream_id`, otherwise the same streams and SETs.

Everything here goes over HTTP.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ssf.store.database import Database
from tests.clients import (
    AUDIENCE,
    ISSUER,
    SESSION_REVOKED,
    SUBJECT,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock

VERIFY = "/sse/v1/verify"
POLL = "/sse/v1/poll"
STREAM = "/sse/v1/stream"
OLD_PUSH = "https://schemas.openid.net/secevent/risc/delivery-method/push"
OLD_POLL = "https://schemas.openid.net/secevent/risc/delivery-method/poll"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def transmitter(database: Database, clock: FakeClock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter that hands out again at once what was not acknowledged."""
    async with running_transmitter(database, clock, poll_visibility_seconds=0) as running:
        yield running


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    """A receiver that polls one stream of the older profile."""
    added = await transmitter.add_receiver()
    body = {"events_requested": [SESSION_REVOKED], "delivery": {"method": OLD_POLL}}
    assert (await added.http.post(STREAM, json=body)).status_code == 200
    return added


@pytest.fixture
async def not_providing(database, clock) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter that shows no default stream to a receiver that has none."""
    async with running_transmitter(database, clock, sse_auto_provision=False) as running:
        yield running


def each(*values: Any) -> tuple[Any, ...]:
    """JSON values of any kind."""
    return values


async def push_instead(receiver: ReceiverUnderTest, url: str) -> None:
    delivery = {"method": OLD_PUSH, "endpoint_url": url}
    body = {"events_requested": [SESSION_REVOKED], "delivery": delivery}
    assert (await receiver.http.post(STREAM, json=body)).status_code == 200


async def stream_id_of(receiver: ReceiverUnderTest) -> str:
    [stream] = (await receiver.http.get("/ssf/v1/streams")).json()
    name: str = stream["stream_id"]
    return name


async def set_status(receiver: ReceiverUnderTest, status: str) -> None:
    body = {"stream_id": await stream_id_of(receiver), "status": status}
    assert (await receiver.http.post("/ssf/v1/status", json=body)).status_code == 200


async def verify(receiver: ReceiverUnderTest, **body: Any) -> None:
    response = await receiver.http.post(VERIFY, json=body)
    assert (response.status_code, response.content) == (204, b""), response.text


async def poll(receiver: ReceiverUnderTest, *, path: str = POLL, **body: Any) -> dict[str, Any]:
    """Polls without waiting, and returns the claims by `jti`."""
    response = await receiver.http.post(path, json={"returnImmediately": True, **body})
    assert response.status_code == 200, response.text
    return {jti: claims_of(token) for jti, token in response.json()["sets"].items()}


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * 3))
    return claims


async def verification_events(receiver: ReceiverUnderTest) -> list[dict[str, Any]]:
    return [claims["events"][VERIFICATION] for claims in (await poll(receiver)).values()]


def refusal(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    assert answer["err"]
    assert answer["description"]
    return answer


# ------------------------------------------------------------------ verify


async def test_verify_without_a_body_sends_an_event_without_state(receiver):
    response = await receiver.http.post(VERIFY)
    assert (response.status_code, response.content) == (204, b"")
    assert await verification_events(receiver) == [{}]


async def test_verify_with_an_empty_object_sends_an_event_without_state(receiver):
    await verify(receiver)
    assert await verification_events(receiver) == [{}]


@pytest.mark.parametrize(
    "state", ["VGhpcyBpcyBhbiBleGFtcGxlIHN0YXRlIHZhbHVlLgo=", "", "Ünïcode \n"]
)
async def test_verify_echoes_the_state_unchanged(receiver, state):
    await verify(receiver, state=state)
    assert await verification_events(receiver) == [{"state": state}]


async def test_a_verification_event_is_about_the_hidden_stream(receiver):
    await verify(receiver)
    [claims] = (await poll(receiver)).values()
    assert claims["sub_id"] == {"format": "opaque", "id": await stream_id_of(receiver)}
    assert (claims["iss"], claims["aud"]) == (ISSUER, AUDIENCE)
    assert not {"sub", "exp"} & set(claims)


async def test_verification_needs_not_be_requested(receiver):
    assert VERIFICATION not in (await receiver.http.get(STREAM)).json()["events_delivered"]
    await verify(receiver)
    assert len(await poll(receiver)) == 1


async def test_a_verification_event_is_pushed_when_the_stream_is(
    transmitter, receiver, push_receiver
):
    await push_instead(receiver, push_receiver.url)
    await verify(receiver, state="s")
    await transmitter.deliver()
    [pushed] = push_receiver.pushed
    assert claims_of(pushed.body)["events"] == {VERIFICATION: {"state": "s"}}


async def test_verify_refuses_a_state_that_is_no_string_and_uses_up_no_interval(receiver):
    for state in each(1, True, [], {}, ["s"]):
        answer = refusal(await receiver.http.post(VERIFY, json={"state": state}), 400)
        assert answer["field"] == "state"
    assert await poll(receiver) == {}
    await verify(receiver)


async def test_verify_refuses_a_body_that_is_no_json_object(receiver):
    for bad in (b"null", b"[]", b'"state"', b"{", b'{"state":"a","state":"b"}', b" "):
        refusal(await receiver.http.post(VERIFY, content=bad, headers=JSON), 400)
    refusal(await receiver.http.post(VERIFY, content=b"{}"), 415)
    headers = {"Content-Type": "text/plain"}
    refusal(await receiver.http.post(VERIFY, content=b"{}", headers=headers), 415)
    assert await poll(receiver) == {}


async def test_verify_before_the_interval_is_over_is_429_with_retry_after(
    receiver: ReceiverUnderTest, clock: FakeClock
):
    await verify(receiver, state="first")
    clock.advance(20.5)
    response = await receiver.http.post(VERIFY, json={"state": "too soon"})
    refusal(response, 429)
    assert response.headers["retry-after"] == "40"
    clock.advance(39.4)
    response = await receiver.http.post(VERIFY)
    refusal(response, 429)
    assert response.headers["retry-after"] == "1"
    clock.advance(0.1)
    await verify(receiver, state="second")
    assert await verification_events(receiver) == [{"state": "first"}, {"state": "second"}]


async def test_the_interval_is_shared_by_both_profiles(receiver, clock):
    named = {"stream_id": await stream_id_of(receiver)}
    await verify(receiver)
    response = await receiver.http.post("/ssf/v1/verify", json=named)
    refusal(response, 429)
    assert response.headers["retry-after"] == "60"
    clock.advance(60)
    assert (await receiver.http.post("/ssf/v1/verify", json=named)).status_code == 204
    refusal(await receiver.http.post(VERIFY), 429)
    clock.advance(60)
    await verify(receiver)


async def test_the_interval_is_not_shared_by_two_streams_or_two_receivers(transmitter, receiver):
    other = await transmitter.add_receiver()
    another_stream = await receiver.create_stream()
    await verify(receiver)
    await verify(other)
    named = {"stream_id": another_stream["stream_id"]}
    assert (await receiver.http.post("/ssf/v1/verify", json=named)).status_code == 204


async def test_the_interval_is_the_one_that_the_configuration_shows(transmitter, clock):
    receiver = await transmitter.add_receiver(min_verification_interval=7)
    assert (await receiver.http.get(STREAM)).json()["min_verification_interval"] == 7
    await verify(receiver)
    clock.advance(6.999_999)
    refusal(await receiver.http.post(VERIFY), 429)
    clock.advance(0.000_001)
    await verify(receiver)


async def test_an_interval_of_zero_refuses_nothing(transmitter):
    receiver = await transmitter.add_receiver(min_verification_interval=0)
    for _ in range(3):
        await verify(receiver)
    assert len(await poll(receiver)) == 3


async def test_a_clock_that_was_set_back_refuses_nothing(receiver, clock):
    await verify(receiver)
    clock.set_wall_clock(clock.now() - 3_600_000_000)
    await verify(receiver)


async def test_replacing_the_configuration_does_not_end_the_interval(receiver):
    await verify(receiver)
    shown = (await receiver.http.get(STREAM)).json()
    assert (await receiver.http.post(STREAM, json=shown)).status_code == 200
    refusal(await receiver.http.post(VERIFY), 429)


async def test_of_requests_at_the_same_time_exactly_one_passes(receiver):
    named = {"stream_id": await stream_id_of(receiver)}
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(receiver.http.post(path, json=body))
            for path, body in [(VERIFY, {}), ("/ssf/v1/verify", named)] * 3
        ]
    statuses = sorted(task.result().status_code for task in asked)
    assert statuses == [204, *[429] * 5]
    assert len(await poll(receiver)) == 1


async def test_verify_on_a_disabled_stream_is_refused_and_uses_up_no_interval(receiver):
    await set_status(receiver, "disabled")
    refusal(await receiver.http.post(VERIFY), 400)
    await set_status(receiver, "enabled")
    await verify(receiver)


async def test_verify_on_a_paused_stream_is_held(receiver):
    await set_status(receiver, "paused")
    await verify(receiver, state="held")
    assert await poll(receiver) == {}
    await set_status(receiver, "enabled")
    assert await verification_events(receiver) == [{"state": "held"}]


async def test_verify_provides_the_default_stream(transmitter):
    receiver = await transmitter.add_receiver()
    before = (await receiver.http.get(STREAM)).json()
    await verify(receiver, state="s")
    assert (await receiver.http.get(STREAM)).json() == before
    assert await verification_events(receiver) == [{"state": "s"}]


async def test_without_a_stream_verify_and_poll_are_404(not_providing):
    receiver = await not_providing.add_receiver()
    refusal(await receiver.http.post(VERIFY), 404)
    refusal(await receiver.http.post(POLL, json={"returnImmediately": True}), 404)
    for _ in range(2):
        await receiver.create_stream()
    refusal(await receiver.http.post(VERIFY), 404)
    refusal(await receiver.http.post(POLL, json={"returnImmediately": True}), 404)


async def test_the_only_ssf_1_0_stream_is_verified_and_polled_here(not_providing):
    receiver = await not_providing.add_receiver()
    created = await receiver.create_stream()
    await verify(receiver)
    [claims] = (await poll(receiver)).values()
    assert claims["sub_id"]["id"] == created["stream_id"]


# ------------------------------------------------------------------ poll


async def test_the_poll_url_is_the_one_that_the_configuration_shows(transmitter, receiver):
    delivery = (await receiver.http.get(STREAM)).json()["delivery"]
    await transmitter.emit()
    response = await receiver.http.post(delivery["endpoint_url"], json={"returnImmediately": True})
    assert response.status_code == 200
    [(jti, token)] = response.json()["sets"].items()
    claims = claims_of(token)
    assert claims["jti"] == jti
    assert claims["sub_id"] == SUBJECT
    assert list(claims["events"]) == [SESSION_REVOKED]
    assert response.headers["content-type"].partition(";")[0] == "application/json"


async def test_a_poll_of_nothing_is_an_empty_object_of_sets(receiver):
    response = await receiver.http.post(POLL, json={"returnImmediately": True})
    assert (response.status_code, response.json()) == (200, {"sets": {}})


async def test_a_set_is_handed_out_until_it_is_acknowledged(transmitter, receiver):
    await transmitter.emit()
    first, second = await poll(receiver), await poll(receiver)
    assert first == second
    assert len(first) == 1
    assert await poll(receiver, ack=list(first)) == {}
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "delivered"


async def test_acks_is_an_old_name_of_ack(transmitter, receiver):
    await transmitter.emit()
    [jti] = await poll(receiver)
    assert await poll(receiver, acks=[jti]) == {}
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "delivered"


async def test_ack_and_acks_count_together(transmitter, receiver):
    for _ in range(3):
        await transmitter.emit()
    one, two, three = await poll(receiver)
    assert list(await poll(receiver, ack=[one, two], acks=[two, one])) == [three]
    assert await poll(receiver, ack=None, acks=[three]) == {}


async def test_acks_means_nothing_to_ssf_1_0(transmitter, receiver):
    """The alias is for the legacy endpoint only."""
    await transmitter.emit()
    [jti] = await poll(receiver)
    path = f"/ssf/v1/poll/{await stream_id_of(receiver)}"
    assert list(await poll(receiver, path=path, acks=[jti])) == [jti]
    assert await poll(receiver, path=path, ack=[jti]) == {}


async def test_both_profiles_hand_out_and_settle_the_same_sets(transmitter, receiver):
    await transmitter.emit()
    path = f"/ssf/v1/poll/{await stream_id_of(receiver)}"
    through_old, through_new = await poll(receiver), await poll(receiver, path=path)
    assert through_old == through_new
    await poll(receiver, path=path, ack=list(through_new))
    assert await poll(receiver) == {}


async def test_a_set_in_error_is_dead_and_not_handed_out_again(transmitter, receiver):
    await transmitter.emit()
    [jti] = await poll(receiver)
    errors = {jti: {"err": "setData", "description": "state mismatch"}}
    assert await poll(receiver, setErrs=errors) == {}
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "dead"


async def test_max_events_limits_and_more_available_says_so(transmitter, receiver):
    for _ in range(3):
        await transmitter.emit()
    for limit, count, more in ((0, 0, True), (2, 2, True), (3, 3, False), (10**9, 3, False)):
        body = {"returnImmediately": True, "maxEvents": limit}
        answer = (await receiver.http.post(POLL, json=body)).json()
        assert (len(answer["sets"]), answer.get("moreAvailable", False)) == (count, more)


async def test_poll_refuses_what_is_malformed_and_acknowledges_nothing(transmitter, receiver):
    await transmitter.emit()
    [jti] = await poll(receiver)
    for bad in (
        {"acks": jti},
        {"acks": [1]},
        {"acks": {jti: 1}},
        {"ack": jti},
        {"ack": [jti, None]},
        {"maxEvents": -1},
        {"maxEvents": 1.5},
        {"maxEvents": "5"},
        {"maxEvents": True},
        {"returnImmediately": "true"},
        {"setErrs": [jti]},
        {"setErrs": {jti: "err"}},
    ):
        body = {"returnImmediately": True, "acks": [jti], "ack": [jti], **bad}
        refusal(await receiver.http.post(POLL, json=body), 400)
    assert list(await poll(receiver)) == [jti]


async def test_poll_refuses_a_body_that_is_no_json_object(receiver):
    for bad in (b"", b"null", b"[]", b"{"):
        refusal(await receiver.http.post(POLL, content=bad, headers=JSON), 400)
    refusal(await receiver.http.post(POLL, content=b"{}"), 415)


async def test_acknowledging_what_is_unknown_or_somebody_elses_has_no_effect(transmitter, receiver):
    other = await transmitter.add_receiver()
    body = {"events_requested": [SESSION_REVOKED], "delivery": {"method": OLD_POLL}}
    await other.http.post(STREAM, json=body)
    await transmitter.emit()
    [others] = await poll(other)
    [own] = await poll(receiver)
    assert list(await poll(receiver, acks=[others, "unknown"], ack=[others])) == [own]
    assert list(await poll(other)) == [others]


async def test_poll_of_a_pushed_stream_is_refused(receiver):
    await push_instead(receiver, "https://receiver.example.com/events")
    response = await receiver.http.post(POLL, json={"returnImmediately": True})
    assert refusal(response, 400)["err"] == "wrong_delivery_method"


async def test_poll_provides_the_default_stream(transmitter):
    receiver = await transmitter.add_receiver()
    assert await poll(receiver) == {}
    assert (await receiver.http.get(STREAM)).json()["events_requested"] == []


@pytest.mark.parametrize("status", ["paused", "disabled"])
async def test_a_stream_that_is_not_enabled_hands_out_nothing_and_takes_acks(
    transmitter, receiver, status
):
    await transmitter.emit()
    [jti] = await poll(receiver)
    await set_status(receiver, status)
    assert await poll(receiver) == {}
    assert await poll(receiver, acks=[jti]) == {}
    await set_status(receiver, "enabled")
    assert await poll(receiver) == {}


async def test_a_waiting_poll_is_answered_when_an_event_comes(transmitter, receiver):
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(receiver.http.post(POLL, json={}))
        await transmitter.emit()
    assert len(waiting.result().json()["sets"]) == 1


# ------------------------------------------------------------------ both


@pytest.mark.parametrize("path", [VERIFY, POLL])
async def test_authentication_and_scope_come_before_the_body(transmitter, receiver, path):
    for body in (b"", b"{", b"{}"):
        response = await transmitter.anonymous.post(path, content=body)
        refusal(response, 401)
        assert response.headers["www-authenticate"].startswith("Bearer")
        response = await transmitter.http.post(path, content=body)
        refusal(response, 403)
        assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert await poll(receiver) == {}


@pytest.mark.parametrize("path", [VERIFY, POLL])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_is_405(receiver, method, path):
    response = await receiver.http.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
