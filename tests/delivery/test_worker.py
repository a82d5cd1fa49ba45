"""The push worker's life: woken by the bell, stopped by an event, stopped by nothing else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, text, update
from typing_extensions import override

from ssf.rules.storage_errors import LeaseLost
from ssf.store.bell import Bell
from ssf.store.database import Database
from ssf.store.schema import lanes
from tests import evil_receiver as evil
from tests.clients import TransmitterUnderTest, running_transmitter
from tests.evil_receiver import EvilReceiver, Exchange
from tests.fakes import Answer, FakeClock, RecordingReceiver


class WatchedLines(list[tuple[str, dict[str, Any]]]):
    """The lines of a log, for a test that waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self._written = asyncio.Event()

    @override
    def append(self, line: tuple[str, dict[str, Any]]) -> None:
        super().append(line)
        self._written.set()

    async def wait_for(self, action: str, count: int = 1) -> dict[str, Any]:
        """The fields of the so-manieth line with this action."""
        async with asyncio.timeout(20):
            while True:
                found = [fields for name, fields in self if name == action]
                if len(found) >= count:
                    return found[count - 1]
                self._written.clear()
                await self._written.wait()


def watched(transmitter: TransmitterUnderTest) -> WatchedLines:
    lines = WatchedLines()
    transmitter.log.lines = lines
    return lines


class Gate:
    """A receiver's path that holds every request until the test opens it."""

    def __init__(self, *, then: int = 202) -> None:
        self.opened = asyncio.Event()
        self._then = then

    async def __call__(self, exchange: Exchange) -> None:
        await self.opened.wait()
        await exchange.send(evil.answer_bytes(self._then))


@contextlib.asynccontextmanager
async def working(transmitter: TransmitterUnderTest) -> AsyncIterator[asyncio.Event]:
    """The worker runs meanwhile; at the end it is told to stop and has to end by itself."""
    stopping = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(transmitter.built.worker.run(stopping))
        try:
            yield stopping
        finally:
            stopping.set()
            transmitter.built.bell.ring(Bell.PUSH)


def subject(word: object) -> dict[str, str]:
    return {"format": "opaque", "id": f"{word}"}


# ---------------------------------------------------------------- waking


async def test_the_bell_wakes_the_worker(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would sleep for an hour otherwise, and this test with it."""
    monkeypatch.setattr("ssf.delivery.worker.LOOK_SECONDS", 3_600.0)
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    async with working(transmitter):
        for count in range(1, 21):
            await transmitter.emit()
            await push_receiver.wait_for(count)


async def test_resuming_a_stream_wakes_the_worker(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ssf.delivery.worker.LOOK_SECONDS", 3_600.0)
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(push_receiver.url)
    status = {"stream_id": stream["stream_id"], "status": "paused"}
    await owner.http.post("/ssf/v1/status", json=status)
    async with working(transmitter):
        await transmitter.emit()
        await owner.http.post("/ssf/v1/status", json={**status, "status": "enabled"})
        await push_receiver.wait_for(1)


async def test_a_verification_event_wakes_the_worker(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ssf.delivery.worker.LOOK_SECONDS", 3_600.0)
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(push_receiver.url)
    async with working(transmitter):
        asked = await owner.http.post(
            "/ssf/v1/verify", json={"stream_id": stream["stream_id"], "state": "x"}
        )
        assert asked.status_code == 204
        await push_receiver.wait_for(1)


async def test_the_end_of_one_drain_wakes_the_worker_for_what_came_meanwhile(
    transmitter: TransmitterUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the lane is leased the bell finds nothing to do; the rest follows all the same."""
    monkeypatch.setattr("ssf.delivery.worker.LOOK_SECONDS", 3_600.0)
    gate = Gate()
    async with EvilReceiver() as receiver:
        receiver.on("/events", gate)
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        async with working(transmitter):
            await transmitter.emit()
            await receiver.wait_for_requests(1)
            await transmitter.emit()
            gate.opened.set()
            await receiver.wait_for_requests(2)


async def test_the_worker_finds_by_itself_what_another_process_published(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    database: Database,
    clock: FakeClock,
) -> None:
    """Another process rings another bell."""
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    async with running_transmitter(database, clock) as other, working(transmitter):
        await other.emit()
        await push_receiver.wait_for(1)


# ---------------------------------------------------------------- stopping


async def test_an_idle_worker_ends_when_it_is_told_to(
    transmitter: TransmitterUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssf.delivery.worker.LOOK_SECONDS", 3_600.0)
    before = asyncio.all_tasks()
    async with working(transmitter):
        pass
    assert asyncio.all_tasks() <= before


async def test_a_worker_that_was_stopped_before_it_began_does_nothing(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    await transmitter.emit()
    stopping = asyncio.Event()
    stopping.set()
    await transmitter.built.worker.run(stopping)
    assert push_receiver.pushed == []


async def test_f_36_a_worker_that_stops_finishes_what_is_under_way_and_begins_nothing(
    transmitter: TransmitterUnderTest,
) -> None:
    gate = Gate()
    async with EvilReceiver() as receiver:
        receiver.on("/events", gate)
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        for _ in range(3):
            await transmitter.emit()

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            stopping = asyncio.Event()
            run = tasks.create_task(transmitter.built.worker.run(stopping))
            await receiver.wait_for_requests(1)
            stopping.set()
            transmitter.built.bell.ring(Bell.PUSH)
            await transmitter.emit()
            assert not run.done()
            gate.opened.set()

        assert len(receiver.requests) == 1
    states = [delivery["state"] for delivery in await transmitter.deliveries()]
    assert states == ["delivered", "waiting", "waiting", "waiting"]
    async with transmitter.database.reading() as connection:
        lane = (await connection.execute(select(lanes))).one()
    assert (lane.lease_owner, lane.lease_expires_at) == (None, 0)
    assert lane.due_at is not None


async def test_a_worker_that_is_cancelled_leaves_nothing_behind_but_its_lease(
    transmitter: TransmitterUnderTest, clock: FakeClock
) -> None:
    """As good as a crash: the attempt is not charged, and another worker takes it up later."""
    gate = Gate()
    before = asyncio.all_tasks()
    async with EvilReceiver() as receiver:
        receiver.on("/events", evil.hang(), gate)
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        task = asyncio.create_task(transmitter.built.worker.run(asyncio.Event()))
        await receiver.wait_for_requests(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

        [delivery] = await transmitter.deliveries()
        assert (delivery["state"], delivery["attempts"]) == ("waiting", 0)
        assert await transmitter.deliver() == 0
        clock.advance(31)
        gate.opened.set()
        assert await transmitter.deliver() == 1
    assert asyncio.all_tasks() <= before
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)


async def test_ready_says_whether_the_worker_goes_round(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, clock: FakeClock
) -> None:
    async def word() -> tuple[int, str]:
        answer = await transmitter.anonymous.get("/readyz")
        return answer.status_code, answer.json()["checks"]["worker"]

    assert await word() == (503, "not_running")
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    async with working(transmitter):
        await transmitter.emit()
        await push_receiver.wait_for(1)
        assert await word() == (200, "ok")
    clock.advance(31)
    assert await word() == (503, "stuck")


# ---------------------------------------------------------------- receivers do not mind each other


async def test_a_receiver_that_hangs_delays_no_other(transmitter: TransmitterUnderTest) -> None:
    gate = Gate()
    async with EvilReceiver() as hanging, EvilReceiver() as healthy:
        hanging.on("/events", gate)
        healthy.on("/events", evil.answer(202))
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(hanging.url("/events"))
        await owner.create_push_stream(healthy.url("/events"))
        async with working(transmitter):
            await transmitter.emit()
            await hanging.wait_for_requests(1)
            for count in range(2, 22):
                await transmitter.emit(subject=subject(count))
                await healthy.wait_for_requests(count)
            assert not gate.opened.is_set()
            gate.opened.set()


async def test_a_receiver_that_reads_nothing_delays_no_other(
    transmitter: TransmitterUnderTest,
) -> None:
    async with EvilReceiver() as deaf, EvilReceiver() as healthy:
        deaf.on_connect(evil.never_read())
        healthy.on("/events", evil.answer(202))
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(deaf.url("/events"))
        await owner.create_push_stream(healthy.url("/events"))
        task = asyncio.create_task(transmitter.built.worker.run(asyncio.Event()))
        for count in range(1, 11):
            await transmitter.emit(subject=subject(count))
            await healthy.wait_for_requests(count)
        task.cancel()
        await asyncio.wait([task])


async def test_an_event_for_more_streams_than_lanes_at_a_time_reaches_all_of_them(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver
) -> None:
    owner = await transmitter.add_receiver()
    for number in range(80):
        await owner.create_push_stream(f"{push_receiver.origin}/{number}")
    async with working(transmitter):
        await transmitter.emit()
        await push_receiver.wait_for(80)
    assert len({pushed.path for pushed in push_receiver.pushed}) == 80
    assert len(await transmitter.deliveries(state="delivered", limit="100")) == 80


# ---------------------------------------------------------------- several workers


async def test_f_23_two_workers_deliver_everything_and_nothing_twice(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    database: Database,
    clock: FakeClock,
) -> None:
    owner = await transmitter.add_receiver()
    async with running_transmitter(database, clock) as other:
        for number in range(8):
            await owner.create_push_stream(f"{push_receiver.origin}/{number}")
        async with working(transmitter), working(other):
            for number in range(12):
                await transmitter.emit(subject=subject(number % 3))
            await push_receiver.wait_for(96)
    assert len({pushed.body.split(".")[1] for pushed in push_receiver.pushed}) == 96
    assert len(push_receiver.pushed) == 96
    assert len(await transmitter.deliveries(state="delivered", limit="100")) == 96


async def test_f_24_the_outcome_of_a_worker_that_lost_its_lease_changes_nothing(
    transmitter: TransmitterUnderTest, database: Database, clock: FakeClock
) -> None:
    gate = Gate(then=400)
    lines = watched(transmitter)
    async with EvilReceiver() as receiver:
        receiver.on("/events", gate, evil.answer(202))
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        async with running_transmitter(database, clock) as other:
            async with working(transmitter):
                await receiver.wait_for_requests(1)
                clock.advance(31)
                assert await other.deliver() == 1
                gate.opened.set()
                await lines.wait_for("worker.lease_lost")
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)


async def test_f_24_a_worker_learns_that_it_lost_its_lease(
    transmitter: TransmitterUnderTest, database: Database, clock: FakeClock
) -> None:
    gate = Gate()
    async with EvilReceiver() as receiver:
        receiver.on("/events", gate)
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        run = asyncio.create_task(transmitter.built.worker.run_once())
        await receiver.wait_for_requests(1)
        async with database.transaction() as transaction:
            await transaction.execute(
                update(lanes).values(lease_owner="another", fencing_token=lanes.c.fencing_token + 1)
            )
        gate.opened.set()
        with pytest.raises(LeaseLost):
            await run
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("waiting", 0)


async def test_f_04_a_lease_without_an_attempt_is_taken_up_again_and_not_charged(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    database: Database,
    clock: FakeClock,
) -> None:
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    await transmitter.emit()
    leased = await transmitter.built.worker._lease(64)
    assert len(leased) == 1

    assert await transmitter.deliver() == 0
    clock.advance(30)
    assert await transmitter.deliver() == 1
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)


async def test_on_sqlite_a_new_process_frees_the_leases_of_the_dead_at_once(
    transmitter: TransmitterUnderTest,
    push_receiver: RecordingReceiver,
    database: Database,
    clock: FakeClock,
) -> None:
    """On PostgreSQL other nodes may live, so there a lease runs out by itself."""
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    await transmitter.emit()
    await transmitter.built.worker._lease(64)

    async with running_transmitter(database, clock) as restarted:
        assert await restarted.deliver() == (1 if database.is_sqlite else 0)


# ---------------------------------------------------------------- trouble with the database


async def rename(database: Database, table: str, name: str) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


async def test_the_worker_goes_on_when_the_database_is_back(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, database: Database
) -> None:
    lines = watched(transmitter)
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    async with working(transmitter):
        await rename(database, "lanes", "lanes_away")
        transmitter.built.bell.ring(Bell.PUSH)
        await lines.wait_for("worker.storage_trouble")
        await rename(database, "lanes_away", "lanes")
        await transmitter.emit()
        await push_receiver.wait_for(1)


async def test_an_outcome_that_cannot_be_recorded_is_sent_again_with_the_same_claims(
    transmitter: TransmitterUnderTest, database: Database, clock: FakeClock
) -> None:
    lines = watched(transmitter)
    gate = Gate()
    async with EvilReceiver() as receiver:
        receiver.on("/events", gate)
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url("/events"))
        await transmitter.emit()
        async with working(transmitter):
            await receiver.wait_for_requests(1)
            await rename(database, "deliveries", "deliveries_away")
            gate.opened.set()
            await lines.wait_for("worker.storage_trouble")
            await rename(database, "deliveries_away", "deliveries")
            clock.advance(31)
            transmitter.built.bell.ring(Bell.PUSH)
            await receiver.wait_for_requests(2)
        first, second = receiver.bodies
    assert first.split(b".")[1] == second.split(b".")[1]
    [delivery] = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)


async def test_trouble_with_one_lane_stops_no_other(
    transmitter: TransmitterUnderTest, database: Database
) -> None:
    """One outcome is refused by the database; the other stream goes on meanwhile."""
    lines = watched(transmitter)
    async with EvilReceiver() as receiver:
        receiver.on("/refused", evil.answer(200))
        receiver.on("/fine", evil.answer(202))
        owner = await transmitter.add_receiver()
        for path in ("/refused", "/fine"):
            await owner.create_push_stream(receiver.url(path))
        async with database.transaction() as transaction:
            await _refuse_outcomes_with_status_200(transaction)
        async with working(transmitter):
            for count in range(1, 4):
                await transmitter.emit(subject=subject(count))
                async with asyncio.timeout(20):
                    await _until_path_has(receiver, "/fine", count)
            await lines.wait_for("worker.storage_trouble")
    states = {
        delivery["state"]
        for delivery in await transmitter.deliveries()
        if delivery["last_status"] != 202
    }
    assert states == {"waiting"}


async def _until_path_has(receiver: EvilReceiver, path: str, count: int) -> None:
    seen = 0
    while sum(request.target == path for request in receiver.requests) < count:
        seen = max(seen + 1, len(receiver.requests))
        await receiver.wait_for_requests(seen, timeout_seconds=20)


async def _refuse_outcomes_with_status_200(transaction: Any) -> None:
    if transaction.dialect.name == "sqlite":
        await transaction.exec_driver_sql(
            "CREATE TRIGGER refusing BEFORE UPDATE ON deliveries WHEN NEW.last_status = 200 "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        return
    await transaction.exec_driver_sql(
        "CREATE FUNCTION refuse() RETURNS trigger AS "
        "$$ BEGIN RAISE EXCEPTION 'refused'; END $$ LANGUAGE plpgsql"
    )
    await transaction.exec_driver_sql(
        "CREATE TRIGGER refusing BEFORE UPDATE ON deliveries FOR EACH ROW "
        "WHEN (NEW.last_status = 200) EXECUTE FUNCTION refuse()"
    )


# ---------------------------------------------------------------- outcomes


async def test_every_outcome_of_a_busy_lane_is_recorded_exactly_once(
    transmitter: TransmitterUnderTest, push_receiver: RecordingReceiver, database: Database
) -> None:
    """Outcomes that come together are written together; a table beside counts the writes."""
    async with database.transaction() as transaction:
        await _count_writes_of_outcomes(transaction)
    push_receiver.answer = lambda pushed: Answer(status=202 if len(pushed.body) % 2 else 500)
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(push_receiver.url)
    for number in range(60):
        await transmitter.emit(subject=subject("x" * (number + 1)))
    await transmitter.built.worker.run_once()

    assert len(push_receiver.pushed) == 60
    async with database.reading() as connection:
        written = await connection.execute(
            text("SELECT delivery, count(*) AS n FROM writes GROUP BY delivery")
        )
        counts = {row.delivery: row.n for row in written}
    found = await transmitter.deliveries(limit="100")
    assert counts == {delivery["id"]: 1 for delivery in found}
    assert {delivery["attempts"] for delivery in found} == {1}
    assert {delivery["state"] for delivery in found} == {"delivered", "waiting"}


async def _count_writes_of_outcomes(transaction: Any) -> None:
    await transaction.exec_driver_sql("CREATE TABLE writes (delivery BIGINT)")
    if transaction.dialect.name == "sqlite":
        await transaction.exec_driver_sql(
            "CREATE TRIGGER counting AFTER UPDATE ON deliveries "
            "BEGIN INSERT INTO writes VALUES (NEW.id); END"
        )
        return
    await transaction.exec_driver_sql(
        "CREATE FUNCTION count_write() RETURNS trigger AS "
        "$$ BEGIN INSERT INTO writes VALUES (NEW.id); RETURN NEW; END $$ LANGUAGE plpgsql"
    )
    await transaction.exec_driver_sql(
        "CREATE TRIGGER counting AFTER UPDATE ON deliveries FOR EACH ROW "
        "EXECUTE FUNCTION count_write()"
    )
