"""Order per subject, whatever fails; parallel across subjects; pause holds, disable drops."""

import asyncio
import base64
import gc
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import select

from ssf.store.database import Database
from ssf.store.schema import routes
from tests import evil_receiver as evil
from tests.clients import ReceiverUnderTest, TransmitterUnderTest, running_transmitter
from tests.evil_receiver import EvilReceiver, Exchange
from tests.fakes import FakeClock
from tests.postgres import PostgresServer
from tests.store.test_lanes import until_somebody_waits_for_a_lock

HOUR = 3_600
Reply = tuple[int, dict[str, str]]

TAKEN: Reply = (202, {})


@dataclass
class OrderedReceiver:
    """Writes down what it gets per subject, and how many of each it has at the same time."""

    server: EvilReceiver
    reply: Callable[[str, int], Reply] = lambda _subject, _number: TAKEN
    meanwhile: Callable[[str, int], Awaitable[None]] | None = None
    got: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    replied: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    most_of_one_subject: int = 0
    most: int = 0
    _active: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return self.server.url("/events")

    async def __call__(self, exchange: Exchange) -> None:
        assert exchange.request is not None
        part = exchange.request.body.decode().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        subject, number = claims["sub_id"]["id"], int(claims["txn"])
        self.got[subject].append(number)
        self._active[subject] += 1
        self.most_of_one_subject = max(self.most_of_one_subject, self._active[subject])
        self.most = max(self.most, self._active.total())
        try:
            if self.meanwhile is not None:
                await self.meanwhile(subject, number)
            else:
                for _ in range(5):  # room for a second one of the subject to show itself
                    await asyncio.sleep(0)
        finally:
            self._active[subject] -= 1
        status, headers = self.reply(subject, number)
        self.replied[subject].append((number, status))
        await exchange.send(evil.answer_bytes(status, headers))

    def total(self) -> int:
        return sum(map(len, self.got.values()))


@pytest.fixture
async def receiver() -> AsyncIterator[OrderedReceiver]:
    async with EvilReceiver() as server:
        ordered = OrderedReceiver(server)
        server.on("/events", ordered)
        yield ordered


async def emit(transmitter: TransmitterUnderTest, subject: object, number: int) -> None:
    await transmitter.emit(subject={"format": "opaque", "id": f"{subject}"}, txn=f"{number}")


async def set_status(owner: ReceiverUnderTest, stream: dict[str, Any], status: str) -> None:
    answer = await owner.http.post(
        "/ssf/v1/status", json={"stream_id": stream["stream_id"], "status": status}
    )
    assert answer.status_code == 200, answer.text


async def states_of(transmitter: TransmitterUnderTest) -> Counter[str]:
    return Counter(delivery["state"] for delivery in await transmitter.deliveries(limit="100"))


# ---------------------------------------------------------------- order


async def test_f_28_a_later_set_of_a_subject_waits_for_the_earlier_one_and_others_pass(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver, clock: FakeClock
) -> None:
    refusals = iter([503, 503])
    receiver.reply = lambda subject, number: (
        (next(refusals, 202), {}) if (subject, number) == ("a", 1) else TAKEN
    )
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(receiver.url)
    await emit(transmitter, "a", 1)
    await emit(transmitter, "a", 2)
    await emit(transmitter, "b", 1)

    await transmitter.deliver()
    assert receiver.got == {"a": [1], "b": [1]}
    clock.advance(5)
    await emit(transmitter, "a", 3)
    await emit(transmitter, "b", 2)
    await transmitter.deliver()
    assert receiver.got == {"a": [1, 1], "b": [1, 2]}
    clock.advance(30)
    await transmitter.deliver()
    assert receiver.got == {"a": [1, 1, 1, 2, 3], "b": [1, 2]}


async def test_f_28_what_was_given_up_holds_up_nothing(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver
) -> None:
    receiver.reply = lambda _subject, number: (415 if number == 1 else 202, {})
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(receiver.url)
    for number in (1, 2, 3):
        await emit(transmitter, "a", number)
    await transmitter.deliver()
    assert receiver.got == {"a": [1, 2, 3]}
    assert await states_of(transmitter) == {"dead": 1, "delivered": 2}


async def test_one_subject_keeps_its_order_over_many_slices(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver
) -> None:
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(receiver.url)
    for number in range(280):
        await emit(transmitter, number % 2, number)
    await transmitter.deliver()
    assert receiver.got == {"0": [*range(0, 280, 2)], "1": [*range(1, 280, 2)]}


@pytest.mark.parametrize("seed", [1, 2])
async def test_order_holds_whatever_the_receiver_answers(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver, clock: FakeClock, seed: int
) -> None:
    chance = random.Random(seed)
    replies: list[Reply] = [
        TAKEN,
        TAKEN,
        (500, {}),
        (401, {}),
        (415, {}),
        (302, {"Location": "/x"}),
        (429, {"Retry-After": "7"}),
    ]
    receiver.reply = lambda _subject, _number: chance.choice(replies)
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(receiver.url)
    for number in range(36):
        await emit(transmitter, chance.randrange(6), number)
    for _ in range(200):
        await transmitter.deliver()
        if not await transmitter.deliveries(state="waiting"):
            break
        clock.advance(chance.choice([1, 10, 120, HOUR]))

    assert set(await states_of(transmitter)) <= {"delivered", "dead"}
    assert receiver.most_of_one_subject == 1
    _assert_in_order(receiver)


def _assert_in_order(receiver: OrderedReceiver) -> None:
    """No number comes after a larger one, and none follows while the one before was refused."""
    settled = {202, 415}
    for replies in receiver.replied.values():
        numbers = [number for number, _ in replies]
        assert numbers == sorted(numbers)
        for (number, status), (following, _) in itertools.pairwise(replies):
            assert following == number or status in settled


@pytest.mark.parametrize("seed", [1, 2])
async def test_order_holds_when_workers_die_at_any_moment(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver, clock: FakeClock, seed: int
) -> None:
    chance = random.Random(seed)
    receiver.reply = lambda _subject, _number: (chance.choice([202, 202, 202, 500]), {})
    owner = await transmitter.add_receiver()
    await owner.create_push_stream(receiver.url)
    for number in range(60):
        await emit(transmitter, number % 5, number)
    for _ in range(25):
        task = asyncio.create_task(transmitter.built.worker.run_once())
        for _ in range(chance.randrange(400)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()  # of a process that died nothing is left, not even an exception
        clock.advance(31)
    for _ in range(100):
        await transmitter.deliver()
        if not await transmitter.deliveries(state="waiting"):
            break
        clock.advance(HOUR)

    assert await states_of(transmitter) == {"delivered": 60}
    for subject, numbers in receiver.got.items():
        assert numbers == sorted(numbers)
        assert sorted({*numbers}) == [*range(int(subject), 60, 5)]


# ---------------------------------------------------------------- in parallel


async def test_subjects_go_in_parallel_and_never_two_of_one_at_once(
    database: Database, clock: FakeClock, receiver: OrderedReceiver
) -> None:
    """The receiver answers only once it has four at the same time; more than four it never has."""
    together = asyncio.Barrier(4)

    async def meet(_subject: str, _number: int) -> None:
        async with asyncio.timeout(20):
            await together.wait()

    receiver.meanwhile = meet
    async with running_transmitter(database, clock, push_in_flight=4) as transmitter:
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url)
        for number in range(24):
            await emit(transmitter, number % 4, number)
        await transmitter.deliver()
        assert await states_of(transmitter) == {"delivered": 24}
    assert receiver.most == 4
    assert receiver.most_of_one_subject == 1
    assert receiver.got == {f"{i}": [*range(i, 24, 4)] for i in range(4)}


async def test_no_more_pushes_are_in_flight_than_are_set(
    database: Database, clock: FakeClock, receiver: OrderedReceiver
) -> None:
    async with running_transmitter(database, clock, push_in_flight=3) as transmitter:
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url)
        for number in range(40):
            await emit(transmitter, number, number)
        await transmitter.deliver()
    assert receiver.total() == 40
    assert receiver.most <= 3


async def test_a_subject_that_is_stuck_leaves_room_for_the_others(
    database: Database, clock: FakeClock, receiver: OrderedReceiver
) -> None:
    free = asyncio.Event()

    async def hold(subject: str, _number: int) -> None:
        if subject == "stuck":
            await free.wait()

    receiver.meanwhile = hold
    async with running_transmitter(database, clock, push_in_flight=2) as transmitter:
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url)
        for number in range(20):
            await emit(transmitter, "stuck", number)
        for number in range(20):
            await emit(transmitter, number, number)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transmitter.deliver())
            # The one that is stuck, and every other subject beside it.
            await receiver.server.wait_for_requests(21, timeout_seconds=20)
            assert receiver.got["stuck"] == [0]
            free.set()
        assert await states_of(transmitter) == {"delivered": 40}


# ---------------------------------------------------------------- pause


async def test_f_29_a_paused_stream_holds_everything_and_sends_it_in_order_when_enabled(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver, clock: FakeClock
) -> None:
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(receiver.url)
    receiver.reply = lambda _subject, _number: (500, {})
    await emit(transmitter, "a", 0)
    await transmitter.deliver()
    receiver.reply = lambda _subject, _number: TAKEN
    await set_status(owner, stream, "paused")
    for number in range(1, 40):
        await emit(transmitter, "ab"[number % 2], number)
    clock.advance(10 * HOUR)
    assert await transmitter.deliver() == 0
    assert await states_of(transmitter) == {"waiting": 40}

    await set_status(owner, stream, "enabled")
    await transmitter.deliver()
    assert receiver.got == {"a": [0, *range(0, 40, 2)], "b": [*range(1, 40, 2)]}
    assert await states_of(transmitter) == {"delivered": 40}


async def test_a_stream_that_is_paused_gets_nothing_after_the_pause_was_answered(
    database: Database, clock: FakeClock, receiver: OrderedReceiver
) -> None:
    """SSF 1.0 §8.1.2.1: paused transmits nothing. What is under way may still end."""
    free = asyncio.Event()

    async def hold(_subject: str, _number: int) -> None:
        await free.wait()

    receiver.meanwhile = hold
    async with running_transmitter(database, clock, push_in_flight=2) as transmitter:
        owner = await transmitter.add_receiver()
        stream = await owner.create_push_stream(receiver.url)
        for number in range(20):
            await emit(transmitter, number % 4, number)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transmitter.deliver())
            await receiver.server.wait_for_requests(2)
            await set_status(owner, stream, "paused")
            free.set()
        assert receiver.total() == 2
        assert await states_of(transmitter) == {"delivered": 2, "waiting": 18}

        await set_status(owner, stream, "enabled")
        await transmitter.deliver()
    assert receiver.got == {f"{i}": [*range(i, 20, 4)] for i in range(4)}


async def test_what_a_pause_held_for_long_is_not_given_up_at_the_first_failure(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver, clock: FakeClock
) -> None:
    """It was not due while it was held: the 72 hours of trying begin when it may be sent."""
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(receiver.url)
    await set_status(owner, stream, "paused")
    await emit(transmitter, "a", 1)
    clock.advance(100 * HOUR)
    receiver.reply = lambda _subject, _number: (503, {})
    await set_status(owner, stream, "enabled")
    await transmitter.deliver()

    assert await states_of(transmitter) == {"waiting": 1}


async def test_pausing_and_enabling_again_and_again_loses_and_repeats_nothing(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver
) -> None:
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(receiver.url)

    async def publish() -> None:
        for number in range(40):
            await emit(transmitter, number % 2, number)

    async def toggle() -> None:
        for _ in range(12):
            await set_status(owner, stream, "paused")
            await set_status(owner, stream, "enabled")

    async def deliver() -> None:
        while not done.is_set():
            await transmitter.deliver()
            await asyncio.sleep(0)

    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        delivering = tasks.create_task(deliver())
        async with asyncio.TaskGroup() as changing:
            changing.create_task(publish())
            changing.create_task(toggle())
        done.set()
        await delivering
    await transmitter.deliver()

    assert receiver.got == {"0": [*range(0, 40, 2)], "1": [*range(1, 40, 2)]}
    assert await states_of(transmitter) == {"delivered": 40}


# ---------------------------------------------------------------- disable, delete, change


async def test_a_disabled_stream_drops_what_waits_and_gets_nothing_more(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver, clock: FakeClock
) -> None:
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(receiver.url)
    receiver.reply = lambda _subject, _number: (500, {})
    for number in range(3):
        await emit(transmitter, number, number)
    await transmitter.deliver()
    await set_status(owner, stream, "disabled")
    await emit(transmitter, "late", 9)
    assert await states_of(transmitter) == {"dropped": 4}

    await set_status(owner, stream, "enabled")
    clock.advance(HOUR)
    assert await transmitter.deliver() == 0
    receiver.reply = lambda _subject, _number: TAKEN
    await emit(transmitter, "new", 10)
    await transmitter.deliver()
    assert receiver.got["new"] == [10]
    assert await states_of(transmitter) == {"dropped": 4, "delivered": 1}


async def test_a_stream_that_is_disabled_gets_nothing_after_that_was_answered(
    database: Database, clock: FakeClock, receiver: OrderedReceiver
) -> None:
    free = asyncio.Event()

    async def hold(_subject: str, _number: int) -> None:
        await free.wait()

    receiver.meanwhile = hold
    async with running_transmitter(database, clock, push_in_flight=2) as transmitter:
        owner = await transmitter.add_receiver()
        stream = await owner.create_push_stream(receiver.url)
        for number in range(20):
            await emit(transmitter, number % 4, number)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transmitter.deliver())
            await receiver.server.wait_for_requests(2)
            await set_status(owner, stream, "disabled")
            free.set()
        assert receiver.total() == 2
        assert await states_of(transmitter) == {"dropped": 20}


async def test_a_stream_that_is_paused_between_its_lease_and_its_first_push_gets_none(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver
) -> None:
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(receiver.url)
    await emit(transmitter, "a", 1)
    worker = transmitter.built.worker
    [leased] = await worker._lease(10)
    await set_status(owner, stream, "paused")
    assert await worker._drain.drain(leased, asyncio.Event()) == 0
    assert await transmitter.deliver() == 0
    await set_status(owner, stream, "enabled")
    assert await transmitter.deliver() == 1
    assert receiver.got["a"] == [1]


async def test_a_stream_that_is_deleted_while_a_push_is_under_way_is_gone_and_nothing_breaks(
    transmitter: TransmitterUnderTest, receiver: OrderedReceiver
) -> None:
    free = asyncio.Event()

    async def hold(_subject: str, _number: int) -> None:
        await free.wait()

    receiver.meanwhile = hold
    owner = await transmitter.add_receiver()
    stream = await owner.create_push_stream(receiver.url)
    for number in range(5):
        await emit(transmitter, "a", number)
    stopping = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(transmitter.built.worker.run(stopping))
        await receiver.server.wait_for_requests(1)
        deleted = await owner.http.delete(
            "/ssf/v1/streams", params={"stream_id": stream["stream_id"]}
        )
        assert deleted.status_code == 204
        free.set()

        # The worker lives on, for the next stream.
        await owner.create_push_stream(receiver.url)
        await emit(transmitter, "b", 9)
        while "b" not in receiver.got:
            await receiver.server.wait_for_requests(receiver.total() + 1)
        stopping.set()
        transmitter.built.bell.ring_all()

    assert receiver.got == {"a": [0], "b": [9]}
    assert await states_of(transmitter) == {"dropped": 5, "delivered": 1}


async def test_after_the_endpoint_was_changed_nothing_goes_to_the_old_one(
    database: Database, clock: FakeClock, receiver: OrderedReceiver
) -> None:
    free = asyncio.Event()

    async def hold(_subject: str, _number: int) -> None:
        await free.wait()

    receiver.meanwhile = hold
    async with (
        EvilReceiver() as new,
        running_transmitter(database, clock, push_in_flight=2) as transmitter,
    ):
        new.on("/events", evil.answer(202))
        owner = await transmitter.add_receiver()
        stream = await owner.create_push_stream(receiver.url)
        for number in range(20):
            await emit(transmitter, number % 4, number)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transmitter.deliver())
            await receiver.server.wait_for_requests(2)
            changed = await owner.http.patch(
                "/ssf/v1/streams",
                json={
                    "stream_id": stream["stream_id"],
                    "delivery": {
                        "method": "urn:ietf:rfc:8935",
                        "endpoint_url": new.url("/events"),
                    },
                },
            )
            assert changed.status_code == 200, changed.text
            free.set()
        await transmitter.deliver()
        assert (receiver.total(), len(new.requests)) == (2, 18)


async def test_a_receiver_that_asks_to_be_left_alone_gets_no_more_of_the_slice(
    database: Database, clock: FakeClock, receiver: OrderedReceiver
) -> None:
    receiver.reply = lambda _subject, _number: (503, {"Retry-After": "30"})
    async with running_transmitter(database, clock, push_in_flight=1) as transmitter:
        owner = await transmitter.add_receiver()
        await owner.create_push_stream(receiver.url)
        for number in range(10):
            await emit(transmitter, number, number)
        assert await transmitter.deliver() == 1
        clock.advance(29)
        assert await transmitter.deliver() == 0
        receiver.reply = lambda _subject, _number: TAKEN
        clock.advance(1)
        assert await transmitter.deliver() == 10


async def test_recording_and_deleting_the_stream_do_not_deadlock(
    postgres: PostgresServer, clock: FakeClock
) -> None:
    """The delete has dropped what waits and is held up before it comes to the lane."""
    name = await postgres.new_database()
    database = Database(postgres.url_of(name))
    free = asyncio.Event()

    async def hold(_subject: str, _number: int) -> None:
        await free.wait()

    async with (
        EvilReceiver() as server,
        running_transmitter(database, clock) as transmitter,
    ):
        receiver = OrderedReceiver(server, meanwhile=hold)
        server.on("/events", receiver)
        owner = await transmitter.add_receiver()
        stream = await owner.create_push_stream(receiver.url)
        await emit(transmitter, "a", 1)
        stopping = asyncio.Event()
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            tasks.create_task(transmitter.built.worker.run(stopping))
            await server.wait_for_requests(1)
            async with database.transaction() as in_the_way:
                await in_the_way.execute(select(routes).with_for_update())
                deleting = tasks.create_task(
                    owner.http.delete("/ssf/v1/streams", params={"stream_id": stream["stream_id"]})
                )
                await until_somebody_waits_for_a_lock(database)
                free.set()
                await until_somebody_waits_for_a_lock(database, 2)
            answer = await deleting
            stopping.set()
            transmitter.built.bell.ring_all()
        actions = [action for action, _ in transmitter.log.lines]
        assert answer.status_code == 204, answer.text
        assert "worker.storage_trouble" not in actions
        assert await states_of(transmitter) in (Counter(dropped=1), Counter(delivered=1))
    await database.close()
    await postgres.drop(name)


async def test_recording_and_disabling_the_stream_do_not_deadlock(
    postgres: PostgresServer, clock: FakeClock
) -> None:
    """Answers come in the opposite order of the rows while the receiver disables its stream."""
    name = await postgres.new_database()
    database = Database(postgres.url_of(name))
    at_once = 60
    async with (
        EvilReceiver() as server,
        running_transmitter(database, clock, push_in_flight=at_once) as transmitter,
    ):
        held: dict[int, asyncio.Event] = {}

        async def hold(_subject: str, number: int) -> None:
            await held.setdefault(number, asyncio.Event()).wait()

        receiver = OrderedReceiver(server, meanwhile=hold)
        server.on("/events", receiver)
        owner = await transmitter.add_receiver()
        stream = await owner.create_push_stream(receiver.url)
        for turn in range(4):
            await set_status(owner, stream, "enabled")
            held.clear()
            for number in range(at_once):
                await emit(transmitter, number, number)
            async with asyncio.timeout(60), asyncio.TaskGroup() as race:
                race.create_task(transmitter.built.worker.run_once())
                await server.wait_for_requests((turn + 1) * at_once, timeout_seconds=20)
                for number in reversed(range(at_once)):
                    held[number].set()
                await server_is_answering(receiver, (turn + 1) * at_once)
                race.create_task(set_status(owner, stream, "disabled"))
        assert set(await states_of(transmitter)) <= {"delivered", "dropped"}
    await database.close()
    await postgres.drop(name)


async def server_is_answering(receiver: OrderedReceiver, count: int) -> None:
    """Returns once the receiver has answered so often; recording has begun by then."""
    async with asyncio.timeout(20):
        while sum(map(len, receiver.replied.values())) < count:
            await asyncio.sleep(0)
