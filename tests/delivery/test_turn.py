"""What ends a worker's turn at a lane before its slice is done, and what must not strand it."""

import asyncio

import pytest

from tests.clients import POLL, PUSH, TransmitterUnderTest
from tests.fakes import Answer, FakeClock, Pushed, RecordingReceiver

EVENTS = 60
IN_FLIGHT = 16


@pytest.mark.parametrize(
    "change",
    ["paused", "disabled", "another url", "poll", "disabled and enabled"],
)
async def test_no_push_begins_after_the_stream_was_changed(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, change: str
) -> None:
    receiver = await transmitter.add_receiver()
    stream = await receiver.create_push_stream(push_receiver.url)
    stream_id = stream["stream_id"]
    for number in range(EVENTS):
        subject = {"format": "email", "email": f"user{number}@example.com"}
        await transmitter.emit(subject=subject)

    async def status(word: str) -> None:
        body = {"stream_id": stream_id, "status": word}
        assert (await receiver.http.post("/ssf/v1/status", json=body)).status_code == 200

    async def deliver_by(**delivery: str) -> None:
        body = {"stream_id": stream_id, "delivery": delivery}
        assert (await receiver.http.patch("/ssf/v1/streams", json=body)).status_code == 200

    draining = asyncio.create_task(transmitter.built.worker.run_once())
    await push_receiver.wait_for(1)
    match change:
        case "disabled and enabled":
            await status("disabled")
            await status("enabled")
        case "another url":
            await deliver_by(method=PUSH, endpoint_url=f"{push_receiver.origin}/other")
        case "poll":
            await deliver_by(method=POLL)
        case word:
            await status(word)
    begun = len(push_receiver.pushed)
    await draining

    # What was in flight may arrive, and what began before the next outcome was committed.
    assert len(push_receiver.pushed) <= begun + 2 * IN_FLIGHT
    assert {pushed.path for pushed in push_receiver.pushed} == {"/events"}


async def test_a_retry_is_found_again_though_the_clock_was_set_back_meanwhile(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(push_receiver.url)
    answers = iter([Answer(status=503), Answer()])

    def answer(_pushed: Pushed) -> Answer:
        clock.set_wall_clock(clock.now() - 3_600_000_000)
        return next(answers)

    push_receiver.answer = answer
    await transmitter.emit()
    assert await transmitter.deliver() == 1
    clock.advance(10)

    assert await transmitter.deliver() == 1
    [delivery] = await transmitter.deliveries()
    assert delivery["state"] == "delivered"
