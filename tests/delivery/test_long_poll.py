"""Long polls: no event is missed between look and wait, waiting costs nothing, who left gets none."""

import asyncio
import contextlib
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest
import uvicorn
from sqlalchemy import event, insert
from typing_extensions import override

from keys.keyring import Keyring, generate_signing_key
from ssf.api.bounded_http import BoundedHttpProtocol
from ssf.clock import SystemClock
from ssf.delivery.poll import PollAnswer, PolledTarget, Poller, PollingClient, PollRequest
from ssf.delivery.signing import SetSigner
from ssf.protocol.subject_conversion import FormatFallback
from ssf.rules.deliveries import DeliveryKind
from ssf.rules.events import StoredEvent
from ssf.rules.targets import PLAIN_SHAPE
from ssf.store.bell import Bell
from ssf.store.database import Database
from ssf.store.deliveries import NewDelivery, add_deliveries
from ssf.store.events import add_event
from ssf.store.schema import deliveries as delivery_rows
from ssf.store.schema import lanes as lane_rows
from ssf.store.schema import targets as target_rows
from tests.api.test_ssf_poll import poll, polled_stream
from tests.clients import TransmitterUnderTest
from tests.fakes import SilentLog
from tests.statements import Statements, until
from tests.store.test_lanes import add_delivery_within, add_target, until_somebody_waits_for_a_lock

AUDIENCE = ("https://receiver.example.com",)


class Polls:
    """A poller over a database, with a clock that goes on by itself."""

    def __init__(self, database: Database, *, visibility_seconds: int = 3_600) -> None:
        self.bell = Bell()
        self.is_stopping = False
        self.database = database
        keyring = Keyring([generate_signing_key("ES256", created_at=0)])
        self.poller = Poller(
            database=database,
            signer=SetSigner(
                issuer="https://ssf.example.com",
                keyring=lambda: keyring,
                algorithm="ES256",
                format_fallback=FormatFallback.MOST_PRIVATE,
            ),
            bell=self.bell,
            clock=SystemClock(),
            wait_seconds=300,
            visibility_seconds=visibility_seconds,
            stopping=lambda: self.is_stopping,
            log=SilentLog(),
        )

    async def poll(self, target_id: int, client: PollingClient | None = None) -> PollAnswer:
        async def find() -> PolledTarget:
            return PolledTarget(
                shape=PLAIN_SHAPE,
                id=target_id,
                audience=AUDIENCE,
                notices_only=False,
                answers_at_once=False,
            )

        return await self.poller.poll(
            target_id, find, PollRequest(), client or PollingClient(), wait_seconds=300
        )

    async def publish(self, *target_ids: int) -> None:
        """As publishing does: rings after the commit."""
        now = SystemClock().now()
        async with self.database.transaction() as transaction:
            event_row = await add_event(transaction, _event(now))
            await add_deliveries(
                transaction,
                [NewDelivery(target_id=id_, jti=secrets.token_hex(8)) for id_ in target_ids],
                event_row=event_row,
                subject_key=secrets.token_bytes(8),
                kind=DeliveryKind.EVENT,
                now=now,
            )
        for target_id in target_ids:
            self.bell.ring(target_id)


Polling = Mapping[int, asyncio.Task[PollAnswer]]


def _event(now: int) -> StoredEvent:
    return StoredEvent(
        project_id=1,
        event_id=f"evt_{secrets.token_hex(8)}",
        event_type="https://events.example.com/something",
        subject='{"format":"opaque","id":"1"}',
        subject_key=b"subject",
        payload="{}",
        txn=None,
        toe=None,
        audience=None,
        created_at=now,
    )


def spare_the_disk(database: Database) -> None:
    """What must survive a power cut is tested elsewhere; here there are ten thousand commits."""

    @event.listens_for(database._writer.sync_engine, "connect")
    def hurry(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.close()


# ---------------------------------------------------------------- no lost wake-up


async def test_an_event_that_comes_between_look_and_wait_is_handed_out_within_a_second(
    database: Database,
) -> None:
    """Forty polls and their events begin at random within the time that their looks take."""
    if database.is_sqlite:
        spare_the_disk(database)
    tries = 10_000 if database.is_sqlite else 520
    polls = Polls(database)
    chance = random.Random(20)
    target_ids = await _polled_targets(database, 40)
    came: Counter[str] = Counter()

    async def poll_later(target_id: int, seconds: float) -> PollAnswer:
        await asyncio.sleep(seconds)
        return await polls.poll(target_id)

    async def publish_later(some: Sequence[int], seconds: float, waiting: Polling) -> None:
        await asyncio.sleep(seconds)
        await polls.publish(*some)
        listened_to = polls.bell.listened_to()
        came.update("after" if id_ in listened_to else "before" for id_ in some)
        async with asyncio.timeout(1):
            await asyncio.wait([waiting[id_] for id_ in some])

    for number in range(tries // len(target_ids)):
        if number % 20 == 0:
            await _clear(database)
        shuffled = chance.sample(target_ids, len(target_ids))
        async with asyncio.TaskGroup() as publishing:
            waiting = {
                id_: asyncio.create_task(poll_later(id_, chance.uniform(0, 0.06)))
                for id_ in target_ids
            }
            for start in range(0, len(shuffled), 8):
                some, seconds = shuffled[start : start + 8], chance.uniform(0, 0.06)
                publishing.create_task(publish_later(some, seconds, waiting))
        assert all(len(one.result().sets) == 1 for one in waiting.values())
    assert came.total() == tries
    # Where so many come before and after a poll has begun, many come in the moment between.
    assert min(came["before"], came["after"]) > tries / 50, came


async def _clear(database: Database) -> None:
    """What was handed out is of no more use, and would only have to be passed over."""
    async with database.transaction() as transaction:
        await transaction.execute(delivery_rows.update().values(state="delivered"))


# ---------------------------------------------------------------- many that wait


async def test_of_two_thousand_idle_polls_an_event_for_one_makes_only_that_one_ask(
    database: Database,
) -> None:
    count = 2_000
    target_ids = await _polled_targets(database, count)
    polls = Polls(database)
    with Statements(database) as asked:
        waiting = {}
        for begun, id_ in enumerate(target_ids, start=1):
            waiting[id_] = asyncio.create_task(polls.poll(id_))
            if begun % 40 == 0:
                # Not all in one moment: what is tested is how they wait.
                await until(lambda begun=begun: asked.looks() == begun)  # type: ignore[misc]
        await until(lambda: asked.connections_in_use() == 0)
        before = asked.count
        for _ in range(100):
            await asyncio.sleep(0)
        assert asked.count == before

        async with database.transaction() as transaction:
            await add_delivery_within(transaction, target_ids[7], now=SystemClock().now())
        before = asked.count
        polls.bell.ring(target_ids[7])
        async with asyncio.timeout(20):
            answer = await waiting.pop(target_ids[7])
        assert len(answer.sets) == 1
        assert asked.count - before < 12, asked.all[before:]

        before = asked.count
        polls.is_stopping = True
        polls.bell.ring_all()
        async with asyncio.timeout(60):
            done, _ = await asyncio.wait(waiting.values())
        assert asked.count == before, "each asked once more before it was answered"
    assert len(done) == count - 1
    assert all(one.result() == PollAnswer(sets={}, more_available=False) for one in done)
    assert polls.bell.listened_to() == ()


async def _polled_targets(database: Database, count: int) -> list[int]:
    first = await add_target(database, method="poll")
    ids = range(first + 1, first + count)
    async with database.transaction() as transaction:
        await transaction.execute(
            insert(target_rows),
            [
                {
                    "id": id_,
                    "project_id": 1,
                    "name": f"stream {id_}",
                    "method": "poll",
                    "status": "enabled",
                    "audience": '["https://receiver.example.com"]',
                }
                for id_ in ids
            ],
        )
        await transaction.execute(insert(lane_rows), [{"target_id": id_} for id_ in ids])
    return [first, *ids]


async def test_a_poll_that_comes_while_the_process_stops_is_answered_at_once(
    database: Database,
) -> None:
    polls = Polls(database)
    polls.is_stopping = True
    async with asyncio.timeout(20):
        answer = await polls.poll(await add_target(database, method="poll"))
    assert answer == PollAnswer(sets={}, more_available=False)


# ---------------------------------------------------------------- who went away


async def test_a_client_that_left_before_the_look_is_handed_nothing(database: Database) -> None:
    polls = Polls(database)
    target_id = await add_target(database, method="poll")
    await polls.publish(target_id)
    gone = PollingClient()
    gone.leave()
    assert (await polls.poll(target_id, gone)).sets == {}
    assert len((await polls.poll(target_id)).sets) == 1


async def test_a_client_that_leaves_while_it_waits_stops_waiting(database: Database) -> None:
    polls = Polls(database)
    target_id = await add_target(database, method="poll")
    client = PollingClient()
    with Statements(database) as asked:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            waiting = group.create_task(polls.poll(target_id, client))
            await until(lambda: asked.looks() == 1)
            client.leave()
    assert waiting.result().sets == {}
    assert polls.bell.listened_to() == ()


async def test_a_client_that_leaves_while_its_poll_waits_for_the_lane_is_handed_nothing(
    database: Database,
) -> None:
    polls = Polls(database)
    target_id = await add_target(database, method="poll")
    await polls.publish(target_id)
    client = PollingClient()
    with Statements(database) as asked:
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            async with database.transaction() as transaction:
                await transaction.execute(lane_rows.update().values(gate_until=0))
                waiting = group.create_task(polls.poll(target_id, client))
                await until(lambda: any("AS earlier" in statement for statement in asked.all))
                if database.is_sqlite:
                    await until(lambda: asked.connections_in_use() == 1)
                else:
                    await until_somebody_waits_for_a_lock(database)
                client.leave()
    assert waiting.result().sets == {}
    assert len((await polls.poll(target_id)).sets) == 1, "it was taken by the one who left"


@contextlib.asynccontextmanager
async def on_a_socket(transmitter: TransmitterUnderTest) -> AsyncIterator[uvicorn.Server]:
    """The transmitter on a real socket, as `ssf serve` has it."""
    started = asyncio.Event()

    class Server(uvicorn.Server):
        @override
        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            yield

        @override
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            started.set()

    server = Server(
        uvicorn.Config(
            transmitter.built.app,
            port=0,
            lifespan="off",
            log_config=None,
            http=BoundedHttpProtocol,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve())
    await started.wait()
    try:
        yield server
    finally:
        server.should_exit = True
        await serving


HangUp = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


@pytest.mark.parametrize("hang_up", [close, abort])
async def test_a_client_that_hangs_up_frees_its_poll_and_takes_nothing_with_it(
    transmitter: TransmitterUnderTest, hang_up: HangUp
) -> None:
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(txn="acknowledged")
    (jti,) = (await poll(receiver, stream_id))["sets"]
    bell = transmitter.built.bell
    body = b'{"ack":["%s"]}' % jti.encode()
    async with on_a_socket(transmitter) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        with Statements(transmitter.database) as asked:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST /ssf/v1/poll/{stream_id} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: Bearer {receiver.access_token}\r\n"
                "Content-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            await until(lambda: asked.looks() == 1)
            assert len(bell.listened_to()) == 1
            await hang_up(writer)
            await until(lambda: bell.listened_to() == ())
        await transmitter.emit(txn="after")
        assert len((await poll(receiver, stream_id))["sets"]) == 1
    settled, taken = await transmitter.deliveries()
    assert (settled["state"], taken["attempts"]) == ("delivered", 1)
    statuses = [f.get("status") for action, f in transmitter.log.lines if action == "request"]
    assert set(statuses) <= {200, 201, 202}
