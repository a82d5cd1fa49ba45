"""Verification through `/ssf/v1/verify` (SSF 1.0 §8.1.4)."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.test_ssf_poll import poll, polled_claims, set_status, verified_set
from tests.api.test_ssf_streams import everything
from tests.clients import (
    AUDIENCE,
    ISSUER,
    SESSION_REVOKED,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
    client_of,
    running_transmitter,
)
from tests.fakes import FakeClock, RecordingReceiver

VERIFY = "/ssf/v1/verify"


async def ask(receiver: ReceiverUnderTest, stream_id: Any, **more: Any) -> httpx.Response:
    return await receiver.http.post(VERIFY, json={"stream_id": stream_id, **more})


@pytest.fixture
async def receiver(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    return await transmitter.add_receiver()


@pytest.fixture
async def eager(transmitter: TransmitterUnderTest) -> ReceiverUnderTest:
    """A receiver that may ask as often as it likes."""
    return await transmitter.add_receiver(min_verification_interval=0)


@pytest.fixture
async def stream_id(receiver: ReceiverUnderTest) -> str:
    """A poll stream that asks for no events at all."""
    found: str = (await receiver.create_stream())["stream_id"]
    return found


# ---------------------------------------------------------------- the event (T-29, T-30)


async def test_t29_a_verification_event_is_about_the_stream_and_echoes_the_state(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    stream_id: str,
    clock: FakeClock,
):
    response = await ask(receiver, stream_id, state="VGhpcyBpcyBhbiBleGFtcGxlLg")
    assert response.status_code == 204
    assert response.content == b""

    (claims,) = await polled_claims(transmitter, receiver, stream_id)

    assert claims.pop("txn")
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": clock.now() // 1_000_000,
        "jti": claims["jti"],
        "sub_id": {"format": "opaque", "id": stream_id},
        "events": {VERIFICATION: {"state": "VGhpcyBpcyBhbiBleGFtcGxlLg"}},
    }


async def test_t29_without_a_state_the_event_has_no_such_member(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    assert (await ask(receiver, stream_id)).status_code == 204
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    assert claims["events"] == {VERIFICATION: {}}


async def test_t29_the_state_is_echoed_unchanged(
    transmitter: TransmitterUnderTest, eager: ReceiverUnderTest
):
    stream_id = (await eager.create_stream())["stream_id"]
    states = [
        "",
        " ",
        " padded ",
        "null",
        "line\nbreak\ttab\r\n",
        'quote " backslash \\ slash / \\u0041 <&>',
        "ünïcode ✓ \u2028 \u202e ٱ 漢 😀",
        "e\u0301 is not \u00e9",
        "x" * 1024,
        "é" * 1024,
        "😀" * 1024,
    ]
    for state in states:
        assert (await ask(eager, stream_id, state=state)).status_code == 204, ascii(state)[:40]
    found = await polled_claims(transmitter, eager, stream_id)
    assert [claims["events"][VERIFICATION]["state"] for claims in found] == states


async def test_a_state_that_is_too_long_or_no_string_is_refused_and_uses_up_nothing(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    before = await everything(transmitter, receiver)
    states: list[Any] = ["x" * 1025, "😀" * 1025, None, 5, True, 1.5, ["x"], {"state": "x"}]
    for state in states:
        response = await ask(receiver, stream_id, state=state)
        assert response.status_code == 400, repr(state)[:40]
        assert response.json()["field"] == "state", repr(state)[:40]
    nul = await ask(receiver, stream_id, state="a\u0000b")
    assert nul.status_code == 400
    assert await everything(transmitter, receiver) == before
    assert await poll(receiver, stream_id) == {"sets": {}}
    assert (await ask(receiver, stream_id, state="x" * 1024)).status_code == 204


async def test_t29_the_event_is_pushed_with_the_streams_credentials(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
):
    created = await receiver.create_push_stream(
        push_receiver.url, SESSION_REVOKED, authorization_header="Bearer s3cret"
    )
    assert (await ask(receiver, created["stream_id"], state="pushed")).status_code == 204
    await transmitter.deliver()
    (pushed,) = push_receiver.pushed
    assert pushed.headers["authorization"] == "Bearer s3cret"
    assert pushed.headers["content-type"] == "application/secevent+jwt"
    claims = await verified_set(transmitter, pushed.body)
    assert claims["sub_id"] == {"format": "opaque", "id": created["stream_id"]}
    assert claims["events"] == {VERIFICATION: {"state": "pushed"}}


async def test_t29_only_the_stream_that_asked_gets_the_event(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    sibling = (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
    stranger = await transmitter.add_receiver()
    strangers = (await stranger.create_stream())["stream_id"]
    await ask(receiver, stream_id)
    assert len((await poll(receiver, stream_id))["sets"]) == 1
    assert await poll(receiver, sibling) == {"sets": {}}
    assert await poll(stranger, strangers) == {"sets": {}}


async def test_t30_the_event_is_sent_though_no_list_names_it(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    shown = (await receiver.http.get("/ssf/v1/streams", params={"stream_id": stream_id})).json()
    assert VERIFICATION not in shown["events_supported"]
    assert shown["events_delivered"] == []
    await ask(receiver, stream_id)
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    assert list(claims["events"]) == [VERIFICATION]


async def test_t30_verification_of_a_paused_poll_stream_is_held(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    await set_status(receiver, stream_id, "paused")
    assert (await ask(receiver, stream_id, state="held")).status_code == 204
    assert await poll(receiver, stream_id) == {"sets": {}}
    await set_status(receiver, stream_id, "enabled")
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    assert claims["events"] == {VERIFICATION: {"state": "held"}}


async def test_t30_verification_of_a_paused_push_stream_is_held(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    push_receiver: RecordingReceiver,
):
    created = await receiver.create_push_stream(push_receiver.url)
    await set_status(receiver, created["stream_id"], "paused")
    assert (await ask(receiver, created["stream_id"], state="held")).status_code == 204
    assert await transmitter.deliver() == 0
    assert push_receiver.pushed == []
    await set_status(receiver, created["stream_id"], "enabled")
    assert await transmitter.deliver() == 1
    claims = await verified_set(transmitter, push_receiver.pushed[0].body)
    assert claims["events"] == {VERIFICATION: {"state": "held"}}


async def test_t30_verification_of_a_disabled_stream_is_refused_and_uses_up_nothing(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    await set_status(receiver, stream_id, "disabled")
    before = await everything(transmitter, receiver)
    response = await ask(receiver, stream_id)
    assert response.status_code == 400
    assert await everything(transmitter, receiver) == before
    await set_status(receiver, stream_id, "enabled")
    assert await poll(receiver, stream_id) == {"sets": {}}
    assert (await ask(receiver, stream_id)).status_code == 204


async def test_a_stream_that_is_unknown_missing_or_misspelt_is_refused(
    receiver: ReceiverUnderTest, stream_id: str
):
    assert (await ask(receiver, "0123456789abcdef0123456789abcdef")).status_code == 404
    missing = await receiver.http.post(VERIFY, json={"state": "x"})
    assert missing.status_code == 400
    assert missing.json()["field"] == "stream_id"
    names: list[Any] = [None, 5, [stream_id], {}, "", True, "a\u0000b"]
    for bad in names:
        assert (await ask(receiver, bad)).status_code == 400, bad
    assert (await receiver.http.post(VERIFY)).status_code in {400, 415}
    assert await poll(receiver, stream_id) == {"sets": {}}


async def test_unknown_members_of_a_request_are_ignored(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    response = await ask(receiver, stream_id, state="x", subject={"format": "email"}, more=1)
    assert response.status_code == 204
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    assert claims["events"] == {VERIFICATION: {"state": "x"}}


# ---------------------------------------------------------------- min_verification_interval


async def test_f93_a_request_before_the_interval_is_over_is_told_when_to_come_again(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    stream_id: str,
    clock: FakeClock,
):
    assert (await ask(receiver, stream_id)).status_code == 204
    for elapsed, left in (
        (0, "60"),
        (0.000001, "60"),
        (0.999999, "59"),
        (58, "1"),
        (0.999999, "1"),
    ):
        clock.advance(elapsed)
        response = await ask(receiver, stream_id)
        assert response.status_code == 429, elapsed
        assert response.headers["retry-after"] == left, elapsed
        assert response.headers["content-type"] == "application/json"
    assert len((await poll(receiver, stream_id))["sets"]) == 1
    assert len(await transmitter.deliveries(stream_id=stream_id)) == 1


async def test_t29_a_request_at_exactly_the_interval_is_never_refused(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver(min_verification_interval=7)
    stream_id = (await receiver.create_stream())["stream_id"]
    for _ in range(5):
        assert (await ask(receiver, stream_id)).status_code == 204
        clock.advance(6.999999)
        assert (await ask(receiver, stream_id)).status_code == 429
        clock.advance(0.000001)


async def test_who_waits_as_long_as_retry_after_says_is_accepted(
    receiver: ReceiverUnderTest, stream_id: str, clock: FakeClock
):
    assert (await ask(receiver, stream_id)).status_code == 204
    clock.advance(12.345678)
    refused = await ask(receiver, stream_id)
    wait = refused.headers["retry-after"]
    assert wait.isdecimal()
    assert int(wait) == 48
    clock.advance(int(wait))
    assert (await ask(receiver, stream_id)).status_code == 204


async def test_a_refused_request_does_not_start_the_interval_anew(
    receiver: ReceiverUnderTest, stream_id: str, clock: FakeClock
):
    assert (await ask(receiver, stream_id)).status_code == 204
    clock.advance(59)
    assert (await ask(receiver, stream_id)).status_code == 429
    clock.advance(1)
    assert (await ask(receiver, stream_id)).status_code == 204


async def test_each_stream_has_an_interval_of_its_own(receiver: ReceiverUnderTest, stream_id: str):
    sibling = (await receiver.create_stream())["stream_id"]
    assert (await ask(receiver, stream_id)).status_code == 204
    assert (await ask(receiver, sibling)).status_code == 204
    assert (await ask(receiver, stream_id)).status_code == 429


async def test_an_interval_of_zero_refuses_nothing(
    transmitter: TransmitterUnderTest, eager: ReceiverUnderTest
):
    created = await eager.create_stream()
    assert created["min_verification_interval"] == 0
    for _ in range(5):
        assert (await ask(eager, created["stream_id"])).status_code == 204
    assert len((await poll(eager, created["stream_id"]))["sets"]) == 5


async def test_the_interval_is_shown_as_min_verification_interval(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    for seconds in (1, 90, 86_400):
        receiver = await transmitter.add_receiver(min_verification_interval=seconds)
        created = await receiver.create_stream()
        assert created["min_verification_interval"] == seconds
        assert (await ask(receiver, created["stream_id"])).status_code == 204
        refused = await ask(receiver, created["stream_id"])
        assert refused.headers["retry-after"] == str(seconds)
        clock.advance(seconds)
        assert (await ask(receiver, created["stream_id"])).status_code == 204


async def test_the_interval_survives_a_new_transmitter_over_the_same_database(
    transmitter: TransmitterUnderTest,
    receiver: ReceiverUnderTest,
    stream_id: str,
    clock: FakeClock,
):
    assert (await ask(receiver, stream_id)).status_code == 204
    clock.advance(10)
    async with (
        running_transmitter(transmitter.database, clock) as second,
        client_of(second.built, receiver.access_token) as http,
    ):
        again = ReceiverUnderTest(
            client_id=receiver.client_id, access_token=receiver.access_token, http=http
        )
        refused = await ask(again, stream_id)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "50"
        clock.advance(50)
        assert (await ask(again, stream_id)).status_code == 204


async def test_a_clock_that_was_set_back_refuses_nobody_for_long(
    receiver: ReceiverUnderTest, stream_id: str, clock: FakeClock
):
    assert (await ask(receiver, stream_id)).status_code == 204
    clock.set_wall_clock(clock.now() - 86_400_000_000)
    assert (await ask(receiver, stream_id)).status_code == 204
    refused = await ask(receiver, stream_id)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "60"
    clock.advance(60)
    assert (await ask(receiver, stream_id)).status_code == 204


async def test_of_two_requests_at_once_exactly_one_passes(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(receiver, stream_id, state=state)) for state in "ab"]
    answers = sorted(task.result().status_code for task in asking)
    assert answers == [204, 429]
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    (winner,) = [
        state for state, task in zip("ab", asking, strict=True) if task.result().status_code == 204
    ]
    assert claims["events"] == {VERIFICATION: {"state": winner}}


async def test_of_ten_requests_at_once_exactly_one_passes(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
):
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask(receiver, stream_id)) for _ in range(10)]
    assert sorted(task.result().status_code for task in asking) == [204, *[429] * 9]
    assert len((await poll(receiver, stream_id))["sets"]) == 1
