"""A stream of which nothing is heard for too long is paused (SSF 1.0 §8.1.1, T-31, T-32)."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx
import pytest

from ssf.clock import SystemClock
from ssf.store.database import Database
from tests.api.test_ssf_poll import poll, polled_claims
from tests.api.test_stream_transitions import STREAM_UPDATED, change, claims_of, health, polled
from tests.clients import (
    PUSH,
    SESSION_REVOKED,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock, RecordingReceiver
from tests.postgres import PostgresServer
from tests.statements import Statements, until

TIMEOUT_SECONDS = 100
SUBJECT = {"format": "email", "email": "user@example.com"}
Activity = Callable[[ReceiverUnderTest, str], Coroutine[Any, Any, httpx.Response]]


async def stream_of(receiver: ReceiverUnderTest, **body: Any) -> str:
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED], **body)
    stream_id: str = created["stream_id"]
    return stream_id


async def status_of(transmitter: TransmitterUnderTest, stream_id: str) -> tuple[str, str | None]:
    """As an operator sees it, which is no activity of the receiver."""
    shown = (await transmitter.http.get(f"/admin/v1/streams/{stream_id}")).json()
    return shown["status"], shown["reason"]


async def is_restarted_by(
    transmitter: TransmitterUnderTest,
    clock: FakeClock,
    stream_id: str,
    activity: Awaitable[httpx.Response],
    *,
    status: int,
) -> bool:
    """Whether a stream outlives its timeout for something that happens just before it."""
    clock.advance(TIMEOUT_SECONDS - 1)
    assert (await activity).status_code == status
    clock.advance(TIMEOUT_SECONDS - 1)
    await transmitter.built.rounds.run_once()
    if await status_of(transmitter, stream_id) == ("paused", "inactive"):
        return False
    assert (await status_of(transmitter, stream_id))[0] == "enabled"
    clock.advance(1)
    await transmitter.built.rounds.run_once()
    assert await status_of(transmitter, stream_id) == ("paused", "inactive"), "not for ever"
    return True


# ---------------------------------------------------------------- what restarts the timer (T-31)


def ssf_status(receiver: ReceiverUnderTest, stream_id: str) -> Coroutine[Any, Any, httpx.Response]:
    return receiver.http.get("/ssf/v1/status", params={"stream_id": stream_id})


ACTIVITIES: dict[str, tuple[int, Activity]] = {
    "GET stream": (
        200,
        lambda r, s: r.http.get("/ssf/v1/streams", params={"stream_id": s}),
    ),
    "PATCH stream": (
        200,
        lambda r, s: r.http.patch("/ssf/v1/streams", json={"stream_id": s, "description": "x"}),
    ),
    "PUT stream": (
        200,
        lambda r, s: r.http.put(
            "/ssf/v1/streams", json={"stream_id": s, "events_requested": [SESSION_REVOKED]}
        ),
    ),
    "GET status": (200, ssf_status),
    "POST status": (
        200,
        lambda r, s: r.http.post("/ssf/v1/status", json={"stream_id": s, "status": "enabled"}),
    ),
    "add subject": (
        200,
        lambda r, s: r.http.post("/ssf/v1/subjects:add", json={"stream_id": s, "subject": SUBJECT}),
    ),
    "remove subject": (
        204,
        lambda r, s: r.http.post(
            "/ssf/v1/subjects:remove", json={"stream_id": s, "subject": SUBJECT}
        ),
    ),
    "verify": (204, lambda r, s: r.http.post("/ssf/v1/verify", json={"stream_id": s})),
    "poll": (
        200,
        lambda r, s: r.http.post(f"/ssf/v1/poll/{s}", json={"returnImmediately": True}),
    ),
    "acknowledge": (
        200,
        lambda r, s: r.http.post(
            f"/ssf/v1/poll/{s}", json={"returnImmediately": True, "maxEvents": 0, "ack": ["x"]}
        ),
    ),
    "older profile: GET stream": (200, lambda r, _: r.http.get("/sse/v1/stream")),
    "older profile: POST stream": (
        200,
        lambda r, s: r.http.post(
            "/sse/v1/stream",
            json={
                "events_requested": [SESSION_REVOKED],
                "delivery": {"delivery_method": "urn:ietf:rfc:8936"},
            },
        ),
    ),
    "older profile: add subject": (
        200,
        lambda r, _: r.http.post("/sse/v1/subjects:add", json={"subject": SUBJECT}),
    ),
    "older profile: remove subject": (
        204,
        lambda r, _: r.http.post("/sse/v1/subjects:remove", json={"subject": SUBJECT}),
    ),
    "older profile: GET status": (200, lambda r, _: r.http.get("/sse/v1/status")),
    "older profile: POST status": (
        200,
        lambda r, _: r.http.post("/sse/v1/status", json={"status": "enabled"}),
    ),
    "PATCH that is refused": (
        400,
        lambda r, s: r.http.patch("/ssf/v1/streams", json={"stream_id": s, "aud": "another"}),
    ),
    "POST stream that is refused": (
        400,
        lambda r, _: r.http.post("/sse/v1/stream", json={"events_requested": []}),
    ),
    "removal that is refused": (
        400,
        lambda r, s: r.http.post(
            "/ssf/v1/subjects:remove",
            json={"stream_id": s, "subject": {"format": "opaque", "id": s}},
        ),
    ),
    "older profile: verify": (204, lambda r, _: r.http.post("/sse/v1/verify")),
    "older profile: poll": (
        200,
        lambda r, _: r.http.post("/sse/v1/poll", json={"returnImmediately": True}),
    ),
}


@pytest.mark.parametrize("name", ACTIVITIES)
async def test_t31_every_request_that_names_the_stream_restarts_the_timer(
    transmitter: TransmitterUnderTest, clock: FakeClock, name: str
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id = await stream_of(receiver)
    status, activity = ACTIVITIES[name]
    assert await is_restarted_by(
        transmitter, clock, stream_id, activity(receiver, stream_id), status=status
    )


OTHERS: dict[str, tuple[int, Activity]] = {
    "list of all streams": (200, lambda r, _: r.http.get("/ssf/v1/streams")),
    "another stream": (201, lambda r, _: r.http.post("/ssf/v1/streams", json={})),
    "a stream that is not there": (
        404,
        lambda r, _: r.http.get("/ssf/v1/status", params={"stream_id": "0" * 32}),
    ),
    "a body that cannot be read": (
        400,
        lambda r, _: r.http.patch("/ssf/v1/streams", json=[]),
    ),
    "metadata": (200, lambda r, _: r.http.get("/.well-known/ssf-configuration")),
}


@pytest.mark.parametrize("name", OTHERS)
async def test_t31_a_request_that_names_no_stream_or_another_does_not_restart_the_timer(
    transmitter: TransmitterUnderTest, clock: FakeClock, name: str
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id = await stream_of(receiver)
    status, activity = OTHERS[name]
    assert not await is_restarted_by(
        transmitter, clock, stream_id, activity(receiver, stream_id), status=status
    )


async def test_t31_requests_about_one_stream_are_no_activity_of_another(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id, sibling = await stream_of(receiver), await stream_of(receiver)
    assert not await is_restarted_by(
        transmitter, clock, stream_id, ssf_status(receiver, sibling), status=200
    )
    assert (await status_of(transmitter, sibling))[0] == "enabled"


async def test_t31_what_somebody_else_asks_is_no_activity(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    thief = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id = await stream_of(receiver)
    assert not await is_restarted_by(
        transmitter, clock, stream_id, ssf_status(thief, stream_id), status=404
    )


async def test_t31_a_push_that_succeeds_is_no_activity_and_what_names_a_push_stream_is(
    transmitter: TransmitterUnderTest, clock: FakeClock, push_receiver: RecordingReceiver
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    delivery = {"method": PUSH, "endpoint_url": push_receiver.url}
    stream_id = await stream_of(receiver, delivery=delivery)
    named = await stream_of(receiver, delivery=delivery)
    clock.advance(TIMEOUT_SECONDS - 1)
    await transmitter.emit()
    assert await transmitter.deliver() == 2
    assert (await ssf_status(receiver, named)).status_code == 200
    clock.advance(1)
    await transmitter.built.rounds.run_once()
    assert await status_of(transmitter, stream_id) == ("paused", "inactive")
    assert (await status_of(transmitter, named))[0] == "enabled"


async def test_t31_a_poll_stays_alive_while_it_waits_longer_than_the_timeout(
    database: Database,
):
    """It is answered before the timeout, so that the next one restarts the timer in time."""
    async with running_transmitter(database, SystemClock(), poll_wait_seconds=300) as transmitter:
        receiver = await transmitter.add_receiver(inactivity_timeout=2)
        stream_id = await stream_of(receiver)
        stopping = asyncio.Event()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(transmitter.built.rounds.run(stopping))
            for _ in range(3):
                answer = await poll(receiver, stream_id, returnImmediately=False)
                assert answer == {"sets": {}}
            stopping.set()
        assert (await status_of(transmitter, stream_id))[0] == "enabled"


# ---------------------------------------------------------------- what follows (T-32)


async def test_t32_an_inactive_stream_is_paused_and_its_receiver_is_told_once(
    transmitter: TransmitterUnderTest, clock: FakeClock, push_receiver: RecordingReceiver
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id = await stream_of(
        receiver, delivery={"method": PUSH, "endpoint_url": push_receiver.url}
    )
    clock.advance(TIMEOUT_SECONDS - 0.000_001)
    await transmitter.built.rounds.run_once()
    assert (await status_of(transmitter, stream_id))[0] == "enabled"
    clock.advance(0.000_001)
    for _ in range(3):
        await transmitter.built.rounds.run_once()
        await transmitter.deliver()
        clock.advance(TIMEOUT_SECONDS)
    (pushed,) = push_receiver.pushed
    claims = claims_of(pushed.body)
    assert claims["sub_id"] == {"format": "opaque", "id": stream_id}
    assert claims["events"] == {STREAM_UPDATED: {"status": "paused", "reason": "inactive"}}
    assert (await transmitter.emit())["matched"] == 1
    assert await transmitter.deliver() == 0
    assert (await health(transmitter, stream_id))["waiting"] == 1


async def test_t32_the_notice_can_be_polled_and_polling_does_not_resume(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id = await stream_of(receiver)
    clock.advance(TIMEOUT_SECONDS)
    await transmitter.built.rounds.run_once()
    (claims,) = await polled_claims(transmitter, receiver, stream_id)
    assert claims["events"] == {STREAM_UPDATED: {"status": "paused", "reason": "inactive"}}
    assert await status_of(transmitter, stream_id) == ("paused", "inactive")


async def resume_as_receiver(
    _: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str
) -> None:
    response = await receiver.http.post(
        "/ssf/v1/status", json={"stream_id": stream_id, "status": "enabled"}
    )
    assert response.status_code == 200


async def resume_as_operator(
    transmitter: TransmitterUnderTest, _: ReceiverUnderTest, stream_id: str
) -> None:
    await change(transmitter, stream_id, "enabled")


@pytest.mark.parametrize("resume", [resume_as_receiver, resume_as_operator])
async def test_t32_a_stream_that_is_resumed_has_its_whole_timeout_again(
    transmitter: TransmitterUnderTest, clock: FakeClock, resume: Any
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id = await stream_of(receiver)
    clock.advance(TIMEOUT_SECONDS)
    await transmitter.built.rounds.run_once()
    clock.advance(10 * TIMEOUT_SECONDS)
    await resume(transmitter, receiver, stream_id)
    clock.advance(TIMEOUT_SECONDS - 1)
    await transmitter.built.rounds.run_once()
    assert (await status_of(transmitter, stream_id))[0] == "enabled"
    clock.advance(1)
    await transmitter.built.rounds.run_once()
    assert await status_of(transmitter, stream_id) == ("paused", "inactive")


@pytest.mark.parametrize("status", ["paused", "disabled"])
async def test_t32_a_stream_that_is_stopped_already_is_left_as_it_is(
    transmitter: TransmitterUnderTest, clock: FakeClock, status: str
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    stream_id = await stream_of(receiver)
    await receiver.http.post(
        "/ssf/v1/status", json={"stream_id": stream_id, "status": status, "reason": "mine"}
    )
    clock.advance(TIMEOUT_SECONDS)
    await transmitter.built.rounds.run_once()
    assert await status_of(transmitter, stream_id) == (status, "mine")
    assert await polled(receiver, stream_id) == []


async def test_t32_a_receiver_without_a_timeout_is_never_inactive(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver()
    stream_id = await stream_of(receiver)
    clock.advance(100_000_000)
    await transmitter.built.rounds.run_once()
    assert (await status_of(transmitter, stream_id))[0] == "enabled"


async def test_t32_many_streams_are_paused_in_as_many_rounds_as_it_takes(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS, max_streams=200)
    streams = [await stream_of(receiver) for _ in range(101)]
    clock.advance(TIMEOUT_SECONDS)
    assert await transmitter.built.rounds.run_once() is True
    await transmitter.built.rounds.run_once()
    notices = await transmitter.deliveries(limit="200")
    assert sorted(one["stream_id"] for one in notices) == sorted(streams)


async def test_t32_two_transmitters_pause_an_inactive_stream_once(
    postgres: PostgresServer, clock: FakeClock
):
    name = await postgres.new_database()
    one, other = Database(postgres.url_of(name)), Database(postgres.url_of(name))
    try:
        async with (
            running_transmitter(one, clock) as first,
            running_transmitter(other, clock) as second,
        ):
            receiver = await first.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
            streams = [await stream_of(receiver) for _ in range(20)]
            clock.advance(TIMEOUT_SECONDS)
            async with asyncio.TaskGroup() as group:
                for transmitter in (first, second) * 3:
                    group.create_task(transmitter.built.rounds.run_once())
            notices = await first.deliveries(limit="200")
            assert sorted(notice["stream_id"] for notice in notices) == sorted(streams)
            faults = [a for t in (first, second) for a, _ in t.log.lines if "rounds." in a]
            assert faults == []
    finally:
        await one.close()
        await other.close()
        await postgres.drop(name)


async def test_t31_a_sign_of_life_at_the_last_moment_wins(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    """Either the stream is paused and told so, or it is neither."""
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    streams = [await stream_of(receiver) for _ in range(10)]
    clock.advance(TIMEOUT_SECONDS)
    async with asyncio.TaskGroup() as group:
        group.create_task(transmitter.built.rounds.run_once())
        for stream_id in streams[::-1]:
            group.create_task(ACTIVITIES["GET status"][1](receiver, stream_id))
    notices = {notice["stream_id"] for notice in await transmitter.deliveries()}
    for stream_id in streams:
        status, _ = await status_of(transmitter, stream_id)
        assert (status == "paused") is (stream_id in notices)


async def test_t31_requests_of_all_kinds_at_once_do_not_stand_in_each_others_way(
    transmitter: TransmitterUnderTest,
):
    """Each takes the rows of the stream in one order, or PostgreSQL would end one of them."""
    receiver = await transmitter.add_receiver(
        inactivity_timeout=TIMEOUT_SECONDS, min_verification_interval=0
    )
    stream_id = await stream_of(receiver)
    names = [name for name in ACTIVITIES if not name.startswith("older") and "refused" not in name]
    async with asyncio.TaskGroup() as group:
        asked = [
            group.create_task(ACTIVITIES[name][1](receiver, stream_id))
            for _ in range(8)
            for name in names
        ]
    statuses = {one.result().status_code for one in asked}
    assert statuses <= {200, 204}, [one.result().text for one in asked]


# ---------------------------------------------------------------- what the receiver sees


async def test_inactivity_timeout_is_shown_and_only_the_transmitter_supplies_it(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver(inactivity_timeout=TIMEOUT_SECONDS)
    created = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    assert created["inactivity_timeout"] == TIMEOUT_SECONDS
    named = {"stream_id": created["stream_id"]}
    for method in ("PATCH", "PUT"):
        for value, status in ((TIMEOUT_SECONDS, 200), (TIMEOUT_SECONDS + 1, 400), ("100", 400)):
            body = {**named, "events_requested": [SESSION_REVOKED], "inactivity_timeout": value}
            response = await receiver.http.request(method, "/ssf/v1/streams", json=body)
            assert response.status_code == status, (method, value, response.text)
            if status == 400:
                assert response.json()["field"] == "inactivity_timeout"
    shown = (await receiver.http.get("/ssf/v1/streams", params=named)).json()
    assert shown["inactivity_timeout"] == TIMEOUT_SECONDS
    assert "inactivity_timeout" not in (await receiver.http.get("/sse/v1/stream")).json()

    without = await transmitter.add_receiver()
    assert "inactivity_timeout" not in await without.create_stream()


async def test_a_receiver_may_have_no_timeout_of_nothing(transmitter: TransmitterUnderTest):
    for value in (0, -1, 1.5, "60", True):
        response = await transmitter.http.post(
            "/admin/v1/receivers",
            json={"name": "r", "audience": "https://r.example.com", "inactivity_timeout": value},
        )
        assert response.status_code == 400, value
        assert response.json()["field"] == "inactivity_timeout"


async def test_reading_a_stream_without_a_timeout_writes_nothing(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    stream_id = await stream_of(receiver)
    with Statements(transmitter.database) as asked:
        assert (await ssf_status(receiver, stream_id)).status_code == 200
        await until(lambda: asked.connections_in_use() == 0)
    assert not [s for s in asked.all if s.startswith(("UPDATE", "INSERT", "DELETE"))]
