"""Publishing: the event, its deliveries and its lanes are one commit, or nothing is."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select, text

from ssf.clock import MICROSECONDS
from ssf.pipeline.fan_out import matched_targets
from ssf.pipeline.new_event import IdempotencyKey, NewEvent
from ssf.pipeline.publish import Publisher
from ssf.protocol.subject_conversion import FormatFallback
from ssf.protocol.subjects import parse_subject
from ssf.rules.errors import IdempotencyKeyReused
from ssf.rules.storage_errors import StorageError
from ssf.store.bell import Bell
from ssf.store.database import Connection, Database
from ssf.store.schema import deliveries, events, idempotency_keys, lanes, targets
from tests.clients import (
    CREDENTIAL_CHANGE,
    SESSION_REVOKED,
    SUBJECT,
    ReceiverUnderTest,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock
from tests.postgres import PostgresServer
from tests.store.test_lanes import until_somebody_waits_for_a_lock

ENDPOINT = "https://receiver.example.com/events"


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def publisher(
    transmitter: TransmitterUnderTest, database: Database, bell: Bell, clock: FakeClock
) -> Publisher:
    """The pipeline alone; the transmitter beside it has made the project and makes streams."""
    return Publisher(database, bell, clock, os.urandom, format_fallback=FormatFallback.MOST_PRIVATE)


def new_event(event_type: str = SESSION_REVOKED, **more: Any) -> NewEvent:
    values: dict[str, Any] = {
        "project_id": 1,
        "event_type": event_type,
        "subject": parse_subject(SUBJECT),
        "payload": {},
        **more,
    }
    return NewEvent(**values)


def key(word: str = "key-1", *, body: bytes = b"body", caller: str = "admin") -> IdempotencyKey:
    return IdempotencyKey(caller=caller, key=word, request_hash=hashlib.sha256(body).digest())


async def all_of(database: Database, table: Any) -> list[Any]:
    async with database.reading() as connection:
        return [*await connection.execute(select(table).order_by(*table.primary_key.columns))]


async def set_status(receiver: ReceiverUnderTest, stream_id: str, status: str) -> None:
    answer = await receiver.http.post(
        "/ssf/v1/status", json={"stream_id": stream_id, "status": status}
    )
    assert answer.status_code == 200, answer.text


async def refuse(connection: Connection, table: str, when: str, condition: str = "true") -> None:
    """Makes the database itself refuse a change of a table, half-way through a transaction."""
    if connection.dialect.name == "sqlite":
        guard = "" if condition == "true" else f" WHEN {condition}"
        await connection.exec_driver_sql(
            f"CREATE TRIGGER refusing BEFORE {when} ON {table}{guard} "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        return
    await connection.exec_driver_sql(
        "CREATE FUNCTION refuse() RETURNS trigger AS "
        "$$ BEGIN RAISE EXCEPTION 'refused'; END $$ LANGUAGE plpgsql"
    )
    await connection.exec_driver_sql(
        f"CREATE TRIGGER refusing BEFORE {when} ON {table} FOR EACH ROW "
        f"WHEN ({condition}) EXECUTE FUNCTION refuse()"
    )


async def relent(connection: Connection, table: str) -> None:
    where = "" if connection.dialect.name == "sqlite" else f" ON {table}"
    await connection.exec_driver_sql(f"DROP TRIGGER refusing{where}")


# ---------------------------------------------------------------- who gets it


async def test_every_stream_that_wants_the_event_gets_one_delivery(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()
    wanting = [await receiver.create_push_stream(ENDPOINT) for _ in range(3)]
    await receiver.create_push_stream(ENDPOINT, CREDENTIAL_CHANGE)

    published = await publisher.publish(new_event())

    rows = await all_of(database, deliveries)
    names = {row.id: row.name for row in await all_of(database, targets)}
    assert published.matched == 3
    assert [names[row.target_id] for row in rows] == [s["stream_id"] for s in wanting]
    assert len({row.jti for row in rows}) == 3
    assert {row.state for row in rows} == {"waiting"}
    [event] = await all_of(database, events)
    assert event.event_id == published.event_id
    assert {row.event_row for row in rows} == {event.id}


async def test_an_event_that_nobody_wants_is_stored_all_the_same(
    database: Database, publisher: Publisher
) -> None:
    published = await publisher.publish(new_event())

    assert published.matched == 0
    assert [row.event_id for row in await all_of(database, events)] == [published.event_id]
    assert await all_of(database, deliveries) == []


async def test_only_the_lanes_of_pushed_streams_become_due(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher, clock: FakeClock
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)
    await receiver.create_stream(events_requested=[SESSION_REVOKED])
    await receiver.create_push_stream(ENDPOINT, CREDENTIAL_CHANGE)

    assert (await publisher.publish(new_event())).matched == 2

    assert [row.due_at for row in await all_of(database, lanes)] == [clock.now(), None, None]


async def test_a_paused_stream_takes_the_event_and_a_disabled_one_does_not(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()
    paused = await receiver.create_push_stream(ENDPOINT)
    disabled = await receiver.create_push_stream(ENDPOINT)
    await set_status(receiver, paused["stream_id"], "paused")
    await set_status(receiver, disabled["stream_id"], "disabled")

    assert (await publisher.publish(new_event())).matched == 1

    names = {row.id: row.name for row in await all_of(database, targets)}
    made = {names[row.target_id]: row for row in await all_of(database, deliveries)}
    assert made[paused["stream_id"]].state == "waiting"
    assert made[disabled["stream_id"]].state == "dropped"
    assert made[disabled["stream_id"]].last_outcome == "stream_disabled"


async def test_an_audience_leaves_out_the_streams_of_others(
    transmitter: TransmitterUnderTest, publisher: Publisher
) -> None:
    for audience in ("https://a.example.com", ["https://b.example.com", "https://c.example.com"]):
        receiver = await transmitter.add_receiver(audience=audience)
        await receiver.create_push_stream(ENDPOINT)

    matched = {
        words: (await publisher.publish(new_event(audience=frozenset(words)))).matched
        for words in (
            ("https://a.example.com",),
            ("https://c.example.com",),
            ("https://a.example.com", "https://b.example.com"),
            ("https://a.example.com/",),
        )
    }

    assert [*matched.values()] == [1, 1, 2, 0]


async def test_an_event_of_another_project_reaches_nobody_here(
    transmitter: TransmitterUnderTest, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)

    assert (await publisher.publish(new_event(project_id=2))).matched == 0


# ---------------------------------------------------------------- what is stored


async def test_what_the_token_is_made_of_is_fixed_when_the_event_is_published(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher, clock: FakeClock
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)
    payload = {"reason_admin": {"en": "Grüße \U0001f600"}, "n": 12_345_678_901_234, "f": 1.5}

    published = await publisher.publish(new_event(payload=payload, txn="8675309", toe=1615305159))

    [event], [delivery] = await all_of(database, events), await all_of(database, deliveries)
    assert json.loads(event.payload) == payload
    assert json.loads(event.subject) == SUBJECT
    assert (event.txn, event.toe) == ("8675309", "1615305159")
    assert event.event_id == published.event_id
    assert delivery.iat == clock.now() // MICROSECONDS
    assert (delivery.attempts, delivery.first_due_at) == (0, clock.now())
    assert (delivery.next_attempt_at, delivery.updated_at) == (clock.now(), clock.now())


async def test_without_a_txn_of_the_producers_the_event_id_is_the_txn(
    database: Database, publisher: Publisher
) -> None:
    published = await publisher.publish(new_event())
    [event] = await all_of(database, events)
    assert (event.txn, event.toe) == (published.event_id, None)


async def test_names_grow_with_time(publisher: Publisher, clock: FakeClock) -> None:
    ids = []
    for _ in range(5):
        ids.append((await publisher.publish(new_event())).event_id)
        clock.advance(0.001)
    assert ids == sorted(set(ids))


async def test_equal_subjects_have_equal_keys_however_they_are_written(
    database: Database, publisher: Publisher
) -> None:
    same = [
        {"format": "email", "email": "user@example.com"},
        {"email": "user@example.com", "format": "email"},
    ]
    for subject in [*same, {"format": "email", "email": "other@example.com"}]:
        await publisher.publish(new_event(subject=parse_subject(subject)))

    first, second, third = (row.subject_key for row in await all_of(database, events))
    assert first == second != third


# ---------------------------------------------------------------- all or nothing

HALF_WAY = [
    pytest.param("deliveries", "INSERT", "true", id="no delivery can be written"),
    pytest.param("deliveries", "INSERT", "NEW.target_id > 1", id="the second delivery cannot"),
    pytest.param("lanes", "UPDATE", "true", id="no lane can be marked due"),
    pytest.param("lanes", "UPDATE", "NEW.target_id > 1", id="the second lane cannot"),
    pytest.param("events", "INSERT", "true", id="the event cannot be written"),
]


@pytest.mark.parametrize(("table", "when", "condition"), HALF_WAY)
async def test_nothing_is_stored_when_it_fails_half_way(
    transmitter: TransmitterUnderTest,
    database: Database,
    publisher: Publisher,
    bell: Bell,
    table: str,
    when: str,
    condition: str,
) -> None:
    receiver = await transmitter.add_receiver()
    for _ in range(2):
        await receiver.create_push_stream(ENDPOINT)
    async with database.transaction() as transaction:
        await refuse(transaction, table, when, condition)

    with bell.listen(Bell.PUSH) as listener:
        with pytest.raises(StorageError):
            await publisher.publish(new_event(), idempotency_key=key())
        assert await listener.wait(0) is False

    assert await all_of(database, events) == []
    assert await all_of(database, deliveries) == []
    assert await all_of(database, idempotency_keys) == []
    assert {row.due_at for row in await all_of(database, lanes)} == {None}

    async with database.transaction() as transaction:
        await relent(transaction, table)
    again = await publisher.publish(new_event(), idempotency_key=key())
    assert (again.matched, again.replayed) == (2, False)
    assert len(await all_of(database, deliveries)) == 2


@pytest.mark.parametrize(("table", "when", "condition"), HALF_WAY[:1])
async def test_a_producer_is_not_answered_2xx_when_nothing_was_stored(
    transmitter: TransmitterUnderTest, database: Database, table: str, when: str, condition: str
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)
    async with database.transaction() as transaction:
        await refuse(transaction, table, when, condition)

    answer = await transmitter.http.post(
        "/admin/v1/events", json={"event_type": "session-revoked", "subject": SUBJECT}
    )

    assert answer.status_code >= 500
    assert answer.json()["err"].startswith("storage_")


async def test_a_payload_that_is_not_json_stores_nothing(
    database: Database, publisher: Publisher
) -> None:
    with pytest.raises(ValueError, match="JSON"):
        await publisher.publish(new_event(payload={"n": float("nan")}), idempotency_key=key())
    assert await all_of(database, events) == []
    assert await all_of(database, idempotency_keys) == []


async def test_an_event_in_the_callers_transaction_goes_the_way_of_that_transaction(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher, clock: FakeClock
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)
    event = new_event()

    with pytest.raises(RuntimeError):
        async with database.transaction() as transaction:
            found = await matched_targets(
                transaction, event, now=clock.now(), format_fallback=FormatFallback.MOST_PRIVATE
            )
            await publisher.publish_to(transaction, event, found, event_id="evt_1", now=clock.now())
            raise RuntimeError

    assert await all_of(database, events) == []
    assert await all_of(database, deliveries) == []


async def test_the_bell_is_rung_after_the_commit(
    transmitter: TransmitterUnderTest, database: Database, clock: FakeClock
) -> None:
    """Whoever is woken finds the delivery: a ring before the commit would be a ring lost."""
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)
    await receiver.create_stream(events_requested=[SESSION_REVOKED])
    poll_target = (await all_of(database, targets))[1].id
    bell = Bell()
    publisher = Publisher(
        database, bell, clock, os.urandom, format_fallback=FormatFallback.MOST_PRIVATE
    )
    found: dict[int, int] = {}

    async def wake(name: int) -> None:
        with bell.listen(name) as listener:
            listening.release()
            assert await listener.wait(20)
            async with database.reading() as connection:
                count = select(func.count()).select_from(deliveries)
                found[name] = (await connection.execute(count)).scalar_one()

    listening = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as tasks:
        for name in (Bell.PUSH, poll_target):
            tasks.create_task(wake(name))
            await listening.acquire()
        await publisher.publish(new_event())

    assert found == {Bell.PUSH: 2, poll_target: 2}


# ---------------------------------------------------------------- idempotency


async def test_the_same_request_again_makes_no_second_event(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)
    first = await publisher.publish(new_event(), idempotency_key=key())
    await receiver.create_push_stream(ENDPOINT)

    second = await publisher.publish(new_event(), idempotency_key=key())

    assert (second.event_id, second.matched) == (first.event_id, first.matched)
    assert (first.replayed, second.replayed) == (False, True)
    assert len(await all_of(database, events)) == 1
    assert len(await all_of(database, deliveries)) == 1


async def test_f_94_the_same_key_for_another_event_is_refused(
    database: Database, publisher: Publisher
) -> None:
    await publisher.publish(new_event(), idempotency_key=key())

    with pytest.raises(IdempotencyKeyReused):
        await publisher.publish(new_event(), idempotency_key=key(body=b"another"))

    assert len(await all_of(database, events)) == 1


async def test_the_same_word_of_another_caller_or_project_is_another_key(
    publisher: Publisher,
) -> None:
    ids = {
        (await publisher.publish(event, idempotency_key=one)).event_id
        for event, one in (
            (new_event(), key()),
            (new_event(), key(caller="rcv_1")),
            (new_event(), key("key-2")),
            (new_event(project_id=2), key()),
        )
    }
    assert len(ids) == 4


async def test_of_requests_with_one_key_at_once_exactly_one_makes_an_event(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()
    await receiver.create_push_stream(ENDPOINT)

    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(publisher.publish(new_event(), idempotency_key=key()))
            for _ in range(20)
        ]

    answers = [task.result() for task in asked]
    assert len({answer.event_id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1
    assert len(await all_of(database, deliveries)) == 1


async def test_f_02_a_key_is_known_after_a_restart(
    transmitter: TransmitterUnderTest, database: Database, clock: FakeClock
) -> None:
    body = {"event_type": "session-revoked", "subject": SUBJECT}
    headers = {"Idempotency-Key": "key-1"}
    first = await transmitter.http.post("/admin/v1/events", json=body, headers=headers)

    async with running_transmitter(database, clock) as restarted:
        second = await restarted.http.post("/admin/v1/events", json=body, headers=headers)

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


async def test_many_publishers_at_once_store_every_event_once(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()
    for _ in range(3):
        await receiver.create_push_stream(ENDPOINT)

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(publisher.publish(new_event())) for _ in range(60)]

    ids = {task.result().event_id for task in asked}
    assert len(ids) == 60
    assert {row.event_id for row in await all_of(database, events)} == ids
    rows = await all_of(database, deliveries)
    assert len({row.jti for row in rows}) == len(rows) == 180


# ---------------------------------------------------------------- against changes of the stream


async def test_no_event_waits_for_a_stream_that_is_disabled_at_the_same_time(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()
    stream = await receiver.create_push_stream(ENDPOINT)
    for turn in range(15):
        await set_status(receiver, stream["stream_id"], "enabled")
        async with asyncio.TaskGroup() as race:
            for number in range(3):
                if number == turn % 3:
                    race.create_task(set_status(receiver, stream["stream_id"], "disabled"))
                else:
                    race.create_task(publisher.publish(new_event()))

        states = {row.state for row in await all_of(database, deliveries)}
        assert states <= {"dropped"}


async def test_no_event_waits_for_a_stream_that_is_deleted_at_the_same_time(
    transmitter: TransmitterUnderTest, database: Database, publisher: Publisher
) -> None:
    receiver = await transmitter.add_receiver()

    async def delete(stream: dict[str, Any]) -> None:
        answer = await receiver.http.delete(
            "/ssf/v1/streams", params={"stream_id": stream["stream_id"]}
        )
        assert answer.status_code == 204, answer.text

    for turn in range(15):
        stream = await receiver.create_push_stream(ENDPOINT)
        async with asyncio.TaskGroup() as race:
            for number in range(3):
                if number == turn % 3:
                    race.create_task(delete(stream))
                else:
                    race.create_task(publisher.publish(new_event()))

        states = {row.state for row in await all_of(database, deliveries)}
        assert states <= {"dropped"}


@pytest.fixture
async def on_postgres(
    postgres: PostgresServer, clock: FakeClock
) -> AsyncIterator[TransmitterUnderTest]:
    """A transmitter on PostgreSQL, where several writers are inside their transactions at once."""
    name = await postgres.new_database()
    opened = Database(postgres.url_of(name))
    async with running_transmitter(opened, clock) as running:
        yield running
    await opened.close()
    await postgres.drop(name)


async def test_no_event_waits_for_a_receiver_that_is_removed_at_the_same_time(
    on_postgres: TransmitterUnderTest, clock: FakeClock
) -> None:
    """The publisher has found the stream and not committed yet when the receiver is removed."""
    database = on_postgres.database
    publisher = Publisher(
        database, Bell(), clock, os.urandom, format_fallback=FormatFallback.MOST_PRIVATE
    )
    receiver = await on_postgres.add_receiver()
    await receiver.create_push_stream(ENDPOINT)
    event = new_event()

    async with asyncio.TaskGroup() as race:
        async with database.transaction() as transaction:
            found = await matched_targets(
                transaction, event, now=clock.now(), format_fallback=FormatFallback.MOST_PRIVATE
            )
            await publisher.publish_to(transaction, event, found, event_id="evt_1", now=clock.now())
            removing = race.create_task(
                on_postgres.http.delete(f"/admin/v1/receivers/{receiver.client_id}")
            )
            await until_somebody_waits_for_a_lock(database)

    assert removing.result().status_code == 204
    assert [row.state for row in await all_of(database, deliveries)] == ["dropped"]


async def test_the_delivery_of_a_stream_that_changes_its_method_meanwhile_is_not_forgotten(
    on_postgres: TransmitterUnderTest, clock: FakeClock
) -> None:
    """Published while the stream was polled, committed before it is pushed: its lane is due."""
    database = on_postgres.database
    publisher = Publisher(
        database, Bell(), clock, os.urandom, format_fallback=FormatFallback.MOST_PRIVATE
    )
    receiver = await on_postgres.add_receiver()
    stream = await receiver.create_stream(events_requested=[SESSION_REVOKED])
    event = new_event()

    async with asyncio.TaskGroup() as race:
        async with database.transaction() as transaction:
            found = await matched_targets(
                transaction, event, now=clock.now(), format_fallback=FormatFallback.MOST_PRIVATE
            )
            await publisher.publish_to(transaction, event, found, event_id="evt_1", now=clock.now())
            changing = race.create_task(
                receiver.http.patch(
                    "/ssf/v1/streams",
                    json={
                        "stream_id": stream["stream_id"],
                        "delivery": {
                            "method": "urn:ietf:rfc:8935",
                            "endpoint_url": "http://127.0.0.1:1/events",
                        },
                    },
                )
            )
            await until_somebody_waits_for_a_lock(database)

    assert changing.result().status_code == 200, changing.result().text
    [lane] = await all_of(database, lanes)
    assert lane.due_at == clock.now()


async def test_the_tables_say_the_same_as_the_answer_under_load(
    transmitter: TransmitterUnderTest, database: Database
) -> None:
    """Over HTTP: whatever was answered 202 is there, with as many deliveries as it said."""
    receiver = await transmitter.add_receiver()
    for _ in range(2):
        await receiver.create_push_stream(ENDPOINT)

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(transmitter.emit()) for _ in range(30)]

    said = {task.result()["event_id"]: task.result()["matched"] for task in asked}
    counts = text(
        "SELECT e.event_id, count(d.id) AS n FROM events e"
        " LEFT JOIN deliveries d ON d.event_row = e.id GROUP BY e.event_id"
    )
    async with database.reading() as connection:
        stored = {row.event_id: row.n for row in await connection.execute(counts)}
    assert stored == said
