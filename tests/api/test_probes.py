"""Verification without being asked: a probe that shows whether a stream works (T-29, T-30)."""

import asyncio
from typing import Any

import pytest

from ssf.store.database import Database
from tests.api.test_ssf_poll import poll
from tests.api.test_stream_transitions import ask, change, claims_of, health, pushed_stream, words
from tests.clients import (
    SESSION_REVOKED,
    VERIFICATION,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import Answer, FakeClock, RecordingReceiver
from tests.postgres import PostgresServer

EVERY_SECONDS = 60


async def probe_every(
    transmitter: TransmitterUnderTest, stream_id: str, seconds: int | None
) -> dict[str, Any]:
    response = await transmitter.http.patch(
        f"/admin/v1/streams/{stream_id}", json={"verification_probe_interval": seconds}
    )
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    assert shown["verification_probe_interval"] == seconds
    return shown


async def probed_stream(
    transmitter: TransmitterUnderTest, **terms: Any
) -> tuple[ReceiverUnderTest, str]:
    """A poll stream that asks for no events and is probed."""
    receiver = await transmitter.add_receiver(**terms)
    stream_id = (await receiver.create_stream())["stream_id"]
    await probe_every(transmitter, stream_id, EVERY_SECONDS)
    return receiver, stream_id


async def rounds(transmitter: TransmitterUnderTest, count: int = 1) -> None:
    for _ in range(count):
        await transmitter.built.rounds.run_once()


# ---------------------------------------------------------------- the event


async def test_t29_a_probe_is_a_verification_event_without_a_state(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await probed_stream(transmitter)
    await rounds(transmitter)
    ((_, token),) = (await poll(receiver, stream_id))["sets"].items()
    assert claims_of(token)["events"] == {VERIFICATION: {}}
    assert claims_of(token)["sub_id"] == {"format": "opaque", "id": stream_id}


async def test_t30_a_probe_comes_at_once_and_then_at_its_interval(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await probe_every(transmitter, stream_id, EVERY_SECONDS)
    for expected in (1, 2, 3):
        await rounds(transmitter, 2)
        await transmitter.deliver()
        assert words(push_receiver) == ["verification"] * expected
        clock.advance(EVERY_SECONDS - 0.001)
        await rounds(transmitter)
        await transmitter.deliver()
        assert len(push_receiver.pushed) == expected
        clock.advance(0.001)


async def test_only_streams_for_which_it_was_said_are_probed(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await probed_stream(transmitter)
    sibling = (await receiver.create_stream())["stream_id"]
    for _ in range(3):
        await rounds(transmitter)
        clock.advance(1000)
    assert {one["stream_id"] for one in await transmitter.deliveries()} == {stream_id}
    assert await poll(receiver, sibling) == {"sets": {}}


async def test_at_most_one_probe_is_out(transmitter: TransmitterUnderTest, clock: FakeClock):
    receiver, stream_id = await probed_stream(transmitter)
    for _ in range(5):
        await rounds(transmitter)
        clock.advance(EVERY_SECONDS)
    (jti,) = (await poll(receiver, stream_id))["sets"]
    await poll(receiver, stream_id, ack=[jti])
    await rounds(transmitter)
    assert len((await poll(receiver, stream_id))["sets"]) == 1
    assert len(await transmitter.deliveries()) == 2


async def test_a_verification_that_the_receiver_asked_for_and_that_is_out_counts_as_well(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await probed_stream(transmitter)
    await receiver.http.post("/ssf/v1/verify", json={"stream_id": stream_id, "state": "mine"})
    await rounds(transmitter)
    ((_, token),) = (await poll(receiver, stream_id))["sets"].items()
    assert claims_of(token)["events"] == {VERIFICATION: {"state": "mine"}}


@pytest.mark.parametrize("status", ["paused", "disabled"])
async def test_a_stream_that_is_stopped_is_not_probed_until_it_is_enabled(
    transmitter: TransmitterUnderTest, clock: FakeClock, status: str
):
    receiver, stream_id = await probed_stream(transmitter)
    await ask(receiver, stream_id, status)
    for _ in range(3):
        await rounds(transmitter)
        clock.advance(EVERY_SECONDS)
    assert await transmitter.deliveries() == []
    await ask(receiver, stream_id, "enabled")
    await rounds(transmitter)
    assert len(await transmitter.deliveries()) == 1


async def test_a_probe_that_was_given_up_does_not_end_the_probing(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    push_receiver.answer = lambda _pushed: Answer(status=415)
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await probe_every(transmitter, stream_id, EVERY_SECONDS)
    await rounds(transmitter)
    await transmitter.deliver()
    assert (await health(transmitter, stream_id))["verification"]["state"] == "dead"
    clock.advance(EVERY_SECONDS)
    await rounds(transmitter)
    assert (await health(transmitter, stream_id))["verification"]["state"] == "waiting"


# ---------------------------------------------------------------- health


async def test_the_round_trip_of_a_pushed_probe_is_shown(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    nothing = {"sent_at": None, "state": None, "came_back_at": None, "round_trip_ms": None}
    assert (await health(transmitter, stream_id))["verification"] == nothing
    await probe_every(transmitter, stream_id, EVERY_SECONDS)
    sent_at = clock.now()
    await rounds(transmitter)
    out = {**nothing, "sent_at": sent_at, "state": "waiting"}
    assert (await health(transmitter, stream_id))["verification"] == out
    clock.advance(1.25)
    await transmitter.deliver()
    assert (await health(transmitter, stream_id))["verification"] == {
        "sent_at": sent_at,
        "state": "delivered",
        "came_back_at": sent_at + 1_250_000,
        "round_trip_ms": 1250,
    }


async def test_the_round_trip_of_a_polled_probe_ends_with_its_acknowledgement(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await probed_stream(transmitter)
    sent_at = clock.now()
    await rounds(transmitter)
    (jti,) = (await poll(receiver, stream_id))["sets"]
    clock.advance(2)
    assert (await health(transmitter, stream_id))["verification"]["came_back_at"] is None
    await poll(receiver, stream_id, ack=[jti])
    shown = (await health(transmitter, stream_id))["verification"]
    assert (shown["came_back_at"], shown["round_trip_ms"]) == (sent_at + 2_000_000, 2000)

    # The last one that came back stays to be seen while a newer one is out.
    clock.advance(EVERY_SECONDS)
    await rounds(transmitter)
    newer = (await health(transmitter, stream_id))["verification"]
    assert newer == {**shown, "sent_at": clock.now(), "state": "waiting"}


# ---------------------------------------------------------------- off, and who may say so


async def test_probing_can_be_turned_off_and_on_again(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await probe_every(transmitter, stream_id, EVERY_SECONDS)
    await probe_every(transmitter, stream_id, None)
    clock.advance(1000)
    await rounds(transmitter)
    assert await transmitter.deliver() == 0
    await probe_every(transmitter, stream_id, 10)
    await rounds(transmitter)
    assert await transmitter.deliver() == 1


async def test_t30_probes_use_up_nothing_of_the_receivers_interval(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await probed_stream(transmitter, min_verification_interval=600)
    await rounds(transmitter)
    body = {"stream_id": stream_id, "state": "mine"}
    assert (await receiver.http.post("/ssf/v1/verify", json=body)).status_code == 204
    shown = (await transmitter.http.get(f"/admin/v1/streams/{stream_id}")).json()
    assert shown["last_verification_at"] == clock.now()
    clock.advance(EVERY_SECONDS)
    sets = (await poll(receiver, stream_id))["sets"]
    await poll(receiver, stream_id, ack=[*sets])
    await rounds(transmitter)
    assert len(await transmitter.deliveries()) == 3
    refused = await receiver.http.post("/ssf/v1/verify", json=body)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == str(600 - EVERY_SECONDS)
    assert (await transmitter.http.get(f"/admin/v1/streams/{stream_id}")).json()[
        "last_verification_at"
    ] == shown["last_verification_at"]


async def test_t31_a_probe_is_no_activity_of_the_receiver(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    _, stream_id = await pushed_stream(transmitter, push_receiver.url, inactivity_timeout=100)
    await probe_every(transmitter, stream_id, 10)
    for _ in range(10):
        await rounds(transmitter)
        await transmitter.deliver()
        clock.advance(10)
    await rounds(transmitter)
    shown = (await transmitter.http.get(f"/admin/v1/streams/{stream_id}")).json()
    assert (shown["status"], shown["reason"]) == ("paused", "inactive")


async def test_an_interval_that_is_none_is_refused_and_changes_nothing(
    transmitter: TransmitterUnderTest,
):
    _, stream_id = await probed_stream(transmitter)
    path = f"/admin/v1/streams/{stream_id}"
    values: list[Any] = [9, 0, -1, 2_592_001, 60.5, "60", True, [60]]
    for body in ({}, {"status": "paused"}, *({"verification_probe_interval": v} for v in values)):
        response = await transmitter.http.patch(path, json=body)
        assert response.status_code == 400, body
    assert (await transmitter.http.get(path)).json()["verification_probe_interval"] == EVERY_SECONDS
    for value in (10, 2_592_000):
        await probe_every(transmitter, stream_id, value)


async def test_a_stream_that_was_deleted_is_probed_no_more(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await probed_stream(transmitter)
    await receiver.http.delete("/ssf/v1/streams", params={"stream_id": stream_id})
    clock.advance(1000)
    await rounds(transmitter)
    assert await transmitter.deliveries() == []


async def test_a_probe_leaves_when_a_paused_push_stream_is_resumed_by_the_operator(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
):
    """What was made before the pause is held like anything else."""
    _, stream_id = await pushed_stream(transmitter, push_receiver.url)
    await probe_every(transmitter, stream_id, EVERY_SECONDS)
    await rounds(transmitter)
    await change(transmitter, stream_id, "paused")
    await transmitter.deliver()
    assert words(push_receiver) == ["paused"]
    await change(transmitter, stream_id, "enabled")
    await transmitter.deliver()
    assert words(push_receiver) == ["paused", "verification", "enabled"]


async def test_two_transmitters_make_one_probe(postgres: PostgresServer, clock: FakeClock):
    name = await postgres.new_database()
    one, other = Database(postgres.url_of(name)), Database(postgres.url_of(name))
    try:
        async with (
            running_transmitter(one, clock) as first,
            running_transmitter(other, clock) as second,
        ):
            receiver = await first.add_receiver()
            streams = [
                (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
                for _ in range(10)
            ]
            for stream_id in streams:
                await probe_every(first, stream_id, EVERY_SECONDS)
            async with asyncio.TaskGroup() as group:
                for transmitter in (first, second) * 3:
                    group.create_task(transmitter.built.rounds.run_once())
            made = await first.deliveries(limit="200")
            assert sorted(probe["stream_id"] for probe in made) == sorted(streams)
    finally:
        await one.close()
        await other.close()
        await postgres.drop(name)
