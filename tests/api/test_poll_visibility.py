"""A SET that was handed out is kept from other polls for a while; order holds per subject."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from ssf.clock import MICROSECONDS, SystemClock
from ssf.rules.stream_status import StreamStatus
from ssf.store import lanes, streams
from ssf.store.database import Connection, Database
from tests.api.test_poll_delivery import claims_of, emit_many
from tests.api.test_ssf_poll import NOTHING_WAITS, poll, polled_stream, set_status
from tests.clients import (
    PUSH,
    SESSION_REVOKED,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock
from tests.statements import Statements, until
from tests.store.test_lanes import until_somebody_waits_for_a_lock


async def txns(receiver: ReceiverUnderTest, stream_id: str, **body: Any) -> list[str]:
    """What a poll hands out, by the `txn` of each."""
    sets = (await poll(receiver, stream_id, **body))["sets"]
    return [claims_of(token)["txn"] for token in sets.values()]


async def emit(transmitter: TransmitterUnderTest, subject: str, txn: str) -> None:
    await transmitter.emit(subject={"format": "opaque", "id": subject}, txn=txn)


# ---------------------------------------------------------------- two polls


async def test_polls_at_once_share_what_waits_and_get_nothing_twice(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 20)
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(poll(receiver, stream_id, maxEvents=3)) for _ in range(10)]
    got = [jti for one in polls for jti in one.result()["sets"]]
    assert len(got) == len(set(got)) == 20


async def test_of_polls_that_wait_one_gets_the_event_and_the_others_go_on_waiting(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    with Statements(transmitter.database) as asked:
        polls = [
            asyncio.create_task(poll(receiver, stream_id, returnImmediately=False))
            for _ in range(5)
        ]
        await until(lambda: asked.looks() == 5)
        await emit_many(transmitter, 1)
        async with asyncio.timeout(20):
            done, waiting = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        await until(lambda: asked.looks() >= 9 and asked.connections_in_use() == 0)
        assert len(done) == 1
        assert not any(one.done() for one in waiting)
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)
    assert len(done.pop().result()["sets"]) == 1


async def test_a_set_that_is_out_comes_again_after_the_delay_and_not_before(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "a", "1")
    assert await txns(receiver, stream_id) == ["1"]
    clock.advance(29.999)
    assert await txns(receiver, stream_id) == []
    clock.advance(0.001)
    assert await txns(receiver, stream_id) == ["1"]
    assert await txns(receiver, stream_id) == []


async def test_a_poll_that_waits_wakes_by_itself_when_a_set_may_come_again(database: Database):
    """Nobody rings, and the end of the poll is far away."""
    async with running_transmitter(
        database, SystemClock(), poll_visibility_seconds=1, poll_wait_seconds=300
    ) as transmitter:
        receiver, stream_id = await polled_stream(transmitter)
        await emit(transmitter, "a", "1")
        async with asyncio.timeout(60):
            first = await txns(receiver, stream_id)
            again = await txns(receiver, stream_id, returnImmediately=False)
    assert first == again == ["1"]


async def test_the_delay_can_be_nothing(database: Database, clock: FakeClock):
    async with running_transmitter(database, clock, poll_visibility_seconds=0) as transmitter:
        receiver, stream_id = await polled_stream(transmitter)
        await emit(transmitter, "a", "1")
        await emit(transmitter, "a", "2")
        for _ in range(2):
            assert await txns(receiver, stream_id) == ["1", "2"]
        assert await txns(receiver, stream_id, maxEvents=1) == ["1"]


# ---------------------------------------------------------------- order per subject


async def test_a_later_set_of_a_subject_waits_for_the_one_that_is_out_and_others_do_not(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "a", "a1")
    assert await txns(receiver, stream_id) == ["a1"]
    await emit(transmitter, "a", "a2")
    await emit(transmitter, "b", "b1")
    assert await txns(receiver, stream_id) == ["b1"]
    clock.advance(30)
    assert await txns(receiver, stream_id) == ["a1", "a2", "b1"]


@pytest.mark.parametrize("how", ["ack", "setErrs"])
async def test_settling_a_set_wakes_the_poll_that_waits_for_what_is_behind_it(
    transmitter: TransmitterUnderTest, how: str
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "a", "1")
    ((jti, _),) = (await poll(receiver, stream_id))["sets"].items()
    await emit(transmitter, "a", "2")
    said: dict[str, Any] = (
        {"ack": [jti]} if how == "ack" else {"setErrs": {jti: {"err": "invalid_request"}}}
    )
    with Statements(transmitter.database) as asked:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            waiting = group.create_task(txns(receiver, stream_id, returnImmediately=False))
            await until(lambda: asked.looks() == 1)
            assert await poll(receiver, stream_id, maxEvents=0, **said) in (
                NOTHING_WAITS,
                {"sets": {}, "moreAvailable": True},
            )
    assert waiting.result() == ["2"]


async def test_a_later_set_waits_behind_one_whose_key_was_refused(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "a", "1")
    ((jti, _),) = (await poll(receiver, stream_id))["sets"].items()
    await emit(transmitter, "a", "2")
    await poll(receiver, stream_id, setErrs={jti: {"err": "invalid_key"}})
    assert await txns(receiver, stream_id) == []
    clock.advance(30)
    assert await txns(receiver, stream_id) == ["1", "2"]


@dataclass
class Row:
    """What the model knows of a SET."""

    jti: str
    subject: str
    next_at: int
    bad_keys: int = 0
    state: str = "waiting"


@dataclass
class Model:
    """What a stream should do, in the plainest words."""

    clock: FakeClock
    rows: list[Row] = field(default_factory=list)

    def open_among(self, some: list[Row]) -> list[Row]:
        return [row for row in some if row.state == "waiting"]

    def acknowledge(self, some: list[Row]) -> dict[str, Any]:
        for row in self.open_among(some):
            row.state = "delivered"
        return {"ack": [row.jti for row in some]}

    def refuse(self, some: list[Row]) -> dict[str, Any]:
        for row in self.open_among(some):
            row.state = "dead"
        return {"setErrs": {row.jti: {"err": "invalid_request"} for row in some}}

    def refuse_keys(self, some: list[Row]) -> dict[str, Any]:
        for row in self.open_among(some):
            if row.bad_keys == 2:
                row.state = "dead"
            else:
                row.next_at = self.clock.now() + (30, 300)[row.bad_keys] * MICROSECONDS
                row.bad_keys += 1
        return {"setErrs": {row.jti: {"err": "invalid_key"} for row in some}}

    def due(self) -> list[Row]:
        """Oldest first; a SET that must wait keeps back those of its subject that are behind."""
        found: list[Row] = []
        kept_back: set[str] = set()
        for row in self.open_among(self.rows):
            if row.next_at > self.clock.now():
                kept_back.add(row.subject)
            elif row.subject not in kept_back:
                found.append(row)
        return found

    def hand_out(self, rows: list[Row]) -> None:
        for row in rows:
            row.next_at = self.clock.now() + 30 * MICROSECONDS


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_order_and_visibility_hold_whatever_is_done(
    transmitter: TransmitterUnderTest, clock: FakeClock, seed: int
):
    """A model of one stream, held against the transmitter after each step."""
    chance = random.Random(seed)
    receiver, stream_id = await polled_stream(transmitter)
    model = Model(clock)

    async def emit_one() -> None:
        subject = chance.choice("abc")
        made = await transmitter.emit(subject={"format": "opaque", "id": subject})
        (record,) = await transmitter.deliveries(event_id=made["event_id"])
        model.rows.append(Row(jti=record["jti"], subject=subject, next_at=clock.now()))

    async def poll_and_compare(step: str) -> None:
        some = chance.sample(model.rows, min(len(model.rows), chance.randrange(4)))
        says = {"ack": model.acknowledge, "err": model.refuse, "key": model.refuse_keys}
        body = says[step](some) if step in says else {}
        limit = chance.choice((0, 1, 2, 100))
        answer = await poll(receiver, stream_id, maxEvents=limit, **body)
        expected = model.due()
        assert [*answer["sets"]] == [row.jti for row in expected[:limit]], (seed, step)
        assert answer.get("moreAvailable", False) is (len(expected) > limit)
        model.hand_out(expected[:limit])

    for _ in range(70):
        step = chance.choice(("emit", "emit", "poll", "poll", "ack", "err", "key", "clock"))
        if step == "emit":
            await emit_one()
        elif step == "clock":
            clock.advance(chance.choice((1, 15, 30, 300)))
        else:
            await poll_and_compare(step)

    found = {one["jti"]: one["state"] for one in await transmitter.deliveries(limit="200")}
    assert found == {row.jti: row.state for row in model.rows}


# ---------------------------------------------------------------- a change under a poll's hands


async def _change_under_a_poll(
    transmitter: TransmitterUnderTest, receiver: ReceiverUnderTest, stream_id: str, values: Any
) -> dict[str, Any]:
    """Changes a target after a poll has found something and before it could take it."""
    database = transmitter.database
    with Statements(database) as asked:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            async with database.transaction() as changing:
                await _lock(transmitter, changing, stream_id)
                polling = group.create_task(
                    receiver.http.post(
                        f"/ssf/v1/poll/{stream_id}", json={"returnImmediately": True}
                    )
                )
                await until(lambda: any("AS earlier" in statement for statement in asked.all))
                if database.is_sqlite:
                    await until(lambda: asked.connections_in_use() == 1)
                    for _ in range(100):
                        await asyncio.sleep(0)
                else:
                    await until_somebody_waits_for_a_lock(database)
                await values(changing)
    answer: dict[str, Any] = polling.result().json()
    return answer


async def _lock(transmitter: TransmitterUnderTest, connection: Connection, stream_id: str) -> None:
    stream = await streams.find_in_project(connection, project_id=1, stream_id=stream_id)
    assert stream is not None
    await lanes.lock(connection, stream.id)


async def test_t20_nothing_leaves_once_a_pause_is_committed_though_a_poll_was_about_to_take_it(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "a", "1")

    async def pause(connection: Connection) -> None:
        stream = await streams.find_in_project(connection, project_id=1, stream_id=stream_id)
        assert stream is not None
        await streams.change_status(
            connection, stream, status=StreamStatus.PAUSED, reason=None, now=clock.now()
        )

    assert await _change_under_a_poll(transmitter, receiver, stream_id, pause) == NOTHING_WAITS
    (held,) = await transmitter.deliveries()
    assert (held["state"], held["attempts"]) == ("waiting", 0)
    await set_status(receiver, stream_id, "enabled")
    assert await txns(receiver, stream_id) == ["1"]


async def test_a_poll_that_was_about_to_take_something_is_refused_once_the_stream_is_pushed(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "a", "1")

    async def push(connection: Connection) -> None:
        await connection.exec_driver_sql(
            "UPDATE targets SET method = 'push', endpoint_url = 'https://receiver.example.com/e'"
        )

    answer = await _change_under_a_poll(transmitter, receiver, stream_id, push)
    assert answer["err"] == "wrong_delivery_method"
    (delivery,) = await transmitter.deliveries()
    assert delivery["attempts"] == 0


async def test_a_stream_that_becomes_a_push_stream_waits_for_no_delay_of_polls(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit(transmitter, "a", "1")
    assert await txns(receiver, stream_id) == ["1"]
    response = await receiver.http.patch(
        "/ssf/v1/streams",
        json={
            "stream_id": stream_id,
            "events_requested": [SESSION_REVOKED],
            "delivery": {"method": PUSH, "endpoint_url": "http://127.0.0.1:9/e"},
        },
    )
    assert response.status_code == 200, response.text
    assert await transmitter.deliver() == 1
