"""A stream that is reached in another way, or changed by several at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ssf.clock import SystemClock
from ssf.store.database import Database
from tests.api.test_ssf_poll import poll
from tests.api.test_stream_transitions import change, health, pushed_stream
from tests.clients import (
    POLL,
    PUSH,
    SESSION_REVOKED,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.evil_receiver import EvilReceiver, Exchange
from tests.fakes import Answer, FakeClock, RecordingReceiver
from tests.postgres import PostgresServer

HOUR = 3_600


async def redirect(receiver: ReceiverUnderTest, stream_id: str, **delivery: Any) -> None:
    response = await receiver.http.patch(
        "/ssf/v1/streams", json={"stream_id": stream_id, "delivery": delivery}
    )
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("way", ["poll", "another url"])
async def test_an_attempt_that_fails_after_the_way_was_changed_holds_nothing_back(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock, way: str
):
    began, may_end = asyncio.Event(), asyncio.Event()

    async def fail_late(exchange: Exchange) -> None:
        began.set()
        await may_end.wait()
        await exchange.send(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n")

    async with EvilReceiver() as old:
        old.on("/events", fail_late)
        receiver, stream_id = await pushed_stream(transmitter, old.url("/events"))
        await transmitter.emit(txn="one")
        async with asyncio.TaskGroup() as tasks:
            delivering = tasks.create_task(transmitter.built.worker.run_once())
            await began.wait()
            if way == "poll":
                await redirect(receiver, stream_id, method=POLL)
            else:
                await redirect(receiver, stream_id, method=PUSH, endpoint_url=push_receiver.url)
            may_end.set()
        assert delivering.result() == 1
    if way == "poll":
        assert len((await poll(receiver, stream_id))["sets"]) == 1
    else:
        await transmitter.deliver()
        assert len(push_receiver.pushed) == 1


async def test_handing_out_is_no_failure_when_the_stream_is_pushed_later(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
):
    receiver = await transmitter.add_receiver()
    stream = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    stream_id = stream["stream_id"]
    await transmitter.emit()
    for _ in range(12):
        assert len((await poll(receiver, stream_id))["sets"]) == 1
        clock.advance(31)
    push_receiver.answer = lambda _pushed: Answer(status=500)
    await redirect(receiver, stream_id, method=PUSH, endpoint_url=push_receiver.url)
    assert await transmitter.deliver() == 1
    push_receiver.answer = lambda _pushed: Answer()
    clock.advance(6)
    assert await transmitter.deliver() == 1
    (record,) = await transmitter.deliveries()
    assert (record["state"], record["attempts"]) == ("delivered", 2)


async def test_what_tells_a_receiver_about_its_stream_is_no_event_that_it_missed(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    stream = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await transmitter.emit()
    for status in ("paused", "disabled", "enabled", "disabled"):
        await change(transmitter, stream["stream_id"], status)
    assert (await health(transmitter, stream["stream_id"]))["dropped"] == 1


async def test_a_timer_that_was_left_by_earlier_terms_pauses_nothing(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver(inactivity_timeout=100)
    stream = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    agreed = await transmitter.http.patch(
        f"/admin/v1/receivers/{receiver.client_id}", json={"inactivity_timeout": None}
    )
    assert agreed.status_code == 200
    async with transmitter.database.transaction() as transaction:
        # What a GET writes that read the terms before they were changed.
        from ssf.store import streams

        found = await streams.find_in_project(
            transaction, project_id=1, stream_id=stream["stream_id"]
        )
        assert found is not None
        await streams.set_inactive_at(transaction, found.id, clock.now() + 1)
    clock.advance(HOUR)
    await transmitter.built.rounds.run_once()
    shown = (await transmitter.http.get(f"/admin/v1/streams/{stream['stream_id']}")).json()
    assert (shown["status"], shown["inactive_at"]) == ("enabled", None)


@pytest.fixture
async def on_postgres(postgres: PostgresServer) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter on PostgreSQL, where transactions run beside each other."""
    name = await postgres.new_database()
    database = Database(postgres.url_of(name))
    async with running_transmitter(database, SystemClock()) as running:
        yield running
    await database.close()
    await postgres.drop(name)


async def test_changes_of_one_stream_at_once_do_not_stand_in_each_others_way(
    on_postgres: TransmitterUnderTest,
):
    """Each kind of request locks what it needs in the same order, so that none is turned away."""
    receiver = await on_postgres.add_receiver(inactivity_timeout=1_000, min_verification_interval=0)
    stream = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    stream_id = stream["stream_id"]
    operator, mine = on_postgres.http, receiver.http
    statuses: set[int] = set()

    async def again(method: Any, url: str, body: dict[str, Any]) -> None:
        for _ in range(8):
            statuses.add((await method(url, json=body)).status_code)

    subject = {"format": "email", "email": "user@example.com"}
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            for method, url, body in (
                (mine.post, "/ssf/v1/subjects:add", {"stream_id": stream_id, "subject": subject}),
                (mine.post, "/ssf/v1/status", {"stream_id": stream_id, "status": "enabled"}),
                (mine.patch, "/ssf/v1/streams", {"stream_id": stream_id, "description": "x"}),
                (mine.post, "/sse/v1/subjects:remove", {"subject": subject}),
                (operator.post, f"/admin/v1/streams/{stream_id}/status", {"status": "paused"}),
                (operator.post, f"/admin/v1/streams/{stream_id}/status", {"status": "enabled"}),
                (operator.patch, f"/admin/v1/receivers/{receiver.client_id}", {"max_streams": 9}),
                (
                    operator.post,
                    "/admin/v1/events",
                    {"event_type": "session-revoked", "subject": subject},
                ),
            ):
                tasks.create_task(again(method, url, body))
    assert statuses <= {200, 202, 204}
