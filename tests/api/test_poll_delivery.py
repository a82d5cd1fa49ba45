"""What RFC 8936 says of a poll, and the mistakes that are often made with it."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import func, select

from ssf.clock import SystemClock
from ssf.delivery.poll import MAX_ANSWER_BYTES, MAX_EVENTS
from ssf.store.database import Database
from ssf.store.schema import deliveries as delivery_rows
from ssf.store.schema import events as event_rows
from ssf.store.schema import targets as target_rows
from tests.api.test_ssf_poll import (
    NOTHING_WAITS,
    decoded,
    poll,
    poll_response,
    polled_stream,
    set_status,
    verified_set,
)
from tests.clients import (
    SESSION_REVOKED,
    SUBJECT,
    TransmitterUnderTest,
    running_transmitter,
)
from tests.fakes import FakeClock
from tests.statements import Statements, until
from tests.store.test_lanes import add_delivery_within

STATUSES = ("enabled", "paused", "disabled")


async def emit_many(transmitter: TransmitterUnderTest, count: int, **more: Any) -> None:
    """Each of another subject, so that none waits for another."""
    for number in range(count):
        await transmitter.emit(subject={"format": "opaque", "id": f"{number}"}, **more)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(decoded(token.split(".")[1]))
    return claims


# ---------------------------------------------------------------- members (RFC 8936 §2.2, §2.3)


@pytest.mark.parametrize(
    "body", [{}, {"returnImmediately": None}, {"returnImmediately": False, "maxEvents": 5}]
)
async def test_mistake_5_a_poll_waits_unless_it_says_otherwise(
    transmitter: TransmitterUnderTest, body: dict[str, Any]
):
    receiver, stream_id = await polled_stream(transmitter)
    with Statements(transmitter.database) as asked:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            waiting = group.create_task(receiver.http.post(f"/ssf/v1/poll/{stream_id}", json=body))
            await until(lambda: asked.looks() == 1)
            assert not waiting.done()
            await transmitter.emit()
    assert len(waiting.result().json()["sets"]) == 1


async def test_a_poll_for_which_nothing_came_is_answered_200_with_no_sets(database: Database):
    async with running_transmitter(database, SystemClock(), poll_wait_seconds=1) as transmitter:
        receiver, stream_id = await polled_stream(transmitter)
        async with asyncio.timeout(60):
            response = await receiver.http.post(f"/ssf/v1/poll/{stream_id}", json={})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == NOTHING_WAITS


async def test_mistake_4_sets_is_an_object_of_compact_tokens_whose_names_are_their_jti(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 3)
    sets = (await poll(receiver, stream_id))["sets"]
    assert isinstance(sets, dict)
    assert len(sets) == 3
    for jti, token in sets.items():
        assert token.count(".") == 2
        assert (await verified_set(transmitter, token))["jti"] == jti


async def test_mistake_7_moreavailable_is_said_whenever_something_stays_back(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 5)
    more = []
    acknowledged: list[str] = []
    for _ in range(3):
        answer = await poll(receiver, stream_id, maxEvents=2, ack=acknowledged)
        acknowledged = [*answer["sets"]]
        more.append((len(acknowledged), answer.get("moreAvailable", False)))
    assert more == [(2, True), (2, True), (1, False)]


async def test_a_thousand_sets_are_handed_out_at_once_and_the_rest_is_announced(
    transmitter: TransmitterUnderTest, database: Database
):
    receiver, stream_id = await polled_stream(transmitter)
    async with database.transaction() as transaction:
        named = select(target_rows.c.id).where(target_rows.c.name == stream_id)
        target_id = (await transaction.execute(named)).scalar_one()
        for number in range(MAX_EVENTS + 1):
            await add_delivery_within(transaction, target_id, subject=b"%d" % number, now=0)
    first = await poll(receiver, stream_id, maxEvents=MAX_EVENTS + 1)
    assert len(first["sets"]) == MAX_EVENTS
    assert first["moreAvailable"] is True
    rest = await poll(receiver, stream_id, ack=[*first["sets"]])
    assert len(rest["sets"]) == 1
    assert "moreAvailable" not in rest


@pytest.mark.parametrize("letter", ["x", "語", "😀"])
async def test_an_answer_is_bounded_in_bytes_and_the_rest_can_be_had_at_once(
    transmitter: TransmitterUnderTest, letter: str
):
    """The bound is about bytes, whatever the letters are."""
    receiver, stream_id = await polled_stream(transmitter)
    words = letter * (60_000 // len(letter.encode()))
    count = 60
    await emit_many(transmitter, count, payload={"reason_admin": {"en": words}})

    response = await poll_response(receiver, stream_id)

    answer = response.json()
    assert 10 < len(answer["sets"]) < count
    assert answer["moreAvailable"] is True
    assert MAX_ANSWER_BYTES * 0.9 < len(response.content) < MAX_ANSWER_BYTES * 1.1
    rest = await poll(receiver, stream_id)
    assert len(rest["sets"]) == count - len(answer["sets"])
    assert not rest["sets"].keys() & answer["sets"].keys()


async def test_a_set_that_is_larger_than_an_answer_should_be_is_handed_out_alone(
    transmitter: TransmitterUnderTest, database: Database
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 2)
    payload = json.dumps({"x": "y" * (MAX_ANSWER_BYTES + 1)})
    async with database.transaction() as transaction:
        await transaction.execute(event_rows.update().values(payload=payload))
    for more in (True, False):
        answer = await poll(receiver, stream_id)
        assert len(answer["sets"]) == 1
        assert answer.get("moreAvailable", False) is more


async def test_maxevents_zero_waits_for_an_event_and_leaves_it_where_it_is(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    with Statements(transmitter.database) as asked:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            waiting = group.create_task(
                poll(receiver, stream_id, maxEvents=0, returnImmediately=False)
            )
            await until(lambda: asked.looks() == 1)
            assert not waiting.done()
            await transmitter.emit()
    assert waiting.result() == {"sets": {}, "moreAvailable": True}
    (delivery,) = await transmitter.deliveries()
    assert delivery["attempts"] == 0
    assert len((await poll(receiver, stream_id))["sets"]) == 1


async def test_maxevents_zero_says_nothing_of_what_is_out_with_another_poll(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    assert len((await poll(receiver, stream_id))["sets"]) == 1
    assert await poll(receiver, stream_id, maxEvents=0) == NOTHING_WAITS


# ---------------------------------------------------------------- ack and setErrs (§2.4)


async def test_mistake_6_acknowledgements_of_a_poll_that_is_given_up_count(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 2)
    good, bad = (await poll(receiver, stream_id))["sets"]
    with Statements(transmitter.database) as asked:
        waiting = asyncio.create_task(
            poll(
                receiver,
                stream_id,
                returnImmediately=False,
                ack=[good],
                setErrs={bad: {"err": "invalid_request"}},
            )
        )
        await until(lambda: asked.looks() == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert waiting.cancelled()
    states = {one["jti"]: one["state"] for one in await transmitter.deliveries()}
    assert states == {good: "delivered", bad: "dead"}


async def test_acknowledgements_are_committed_before_anything_is_looked_at(
    transmitter: TransmitterUnderTest,
):
    """What waited behind an acknowledged SET is in the same answer."""
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(txn="first")
    (first,) = (await poll(receiver, stream_id))["sets"]
    await transmitter.emit(txn="second")
    assert await poll(receiver, stream_id) == NOTHING_WAITS
    answer = await poll(receiver, stream_id, ack=[first], maxEvents=1)
    assert [claims_of(token)["txn"] for token in answer["sets"].values()] == ["second"]


@pytest.mark.parametrize("status", STATUSES)
async def test_acknowledgements_and_errors_are_taken_in_every_status(
    transmitter: TransmitterUnderTest, status: str
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 2)
    good, bad = (await poll(receiver, stream_id))["sets"]
    await set_status(receiver, stream_id, status)
    said = {"err": "invalid_request", "description": "no"}
    assert await poll(receiver, stream_id, ack=[good], setErrs={bad: said}) == NOTHING_WAITS
    states = {one["jti"]: one["state"] for one in await transmitter.deliveries()}
    dropped = status == "disabled"
    assert states == (
        {good: "dropped", bad: "dropped"} if dropped else {good: "delivered", bad: "dead"}
    )


async def test_errors_for_sets_of_others_do_nothing_at_all(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    thief, thiefs_stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    before = await transmitter.deliveries(stream_id=stream_id)
    for err in ("invalid_key", "invalid_request"):
        await poll(thief, thiefs_stream_id, setErrs={jti: {"err": err, "description": "ha"}})
    assert await transmitter.deliveries(stream_id=stream_id) == before


async def test_a_set_with_a_key_that_is_refused_comes_again_twice_and_is_dead_then(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    said = {"err": "invalid_key", "description": "which key is this?"}
    (jti,) = (await poll(receiver, stream_id))["sets"]
    for wait_seconds in (30, 300):
        assert await poll(receiver, stream_id, setErrs={jti: said}) == NOTHING_WAITS
        clock.advance(wait_seconds - 0.001)
        assert await poll(receiver, stream_id) == NOTHING_WAITS
        clock.advance(0.001)
        assert [*(await poll(receiver, stream_id))["sets"]] == [jti]
    await poll(receiver, stream_id, setErrs={jti: said})
    (dead,) = await transmitter.deliveries()
    assert (dead["state"], dead["last_outcome"]) == ("dead", "invalid_key")
    assert dead["last_description"] == "which key is this?"
    clock.advance(3600)
    assert await poll(receiver, stream_id) == NOTHING_WAITS


async def test_a_set_with_a_key_that_is_refused_can_be_acknowledged_in_the_end(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    await poll(receiver, stream_id, setErrs={jti: {"err": "invalid_key"}})
    clock.advance(30)
    (again,) = (await poll(receiver, stream_id))["sets"]
    assert again == jti
    await poll(receiver, stream_id, ack=[jti])
    (delivery,) = await transmitter.deliveries()
    assert (delivery["state"], delivery["last_outcome"]) == ("delivered", "acknowledged")


async def test_errors_of_all_kinds_in_one_poll_are_told_apart(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 4)
    jtis = [*(await poll(receiver, stream_id))["sets"]]
    errs = ("invalid_request", "invalid_key", "authentication_failed", "urn:example:odd")
    said = {
        jti: {"err": err, "description": f"about {err}"}
        for jti, err in zip(jtis, errs, strict=True)
    }
    await poll(receiver, stream_id, setErrs=said)
    found = {one["jti"]: one for one in await transmitter.deliveries()}
    for jti, err in zip(jtis, errs, strict=True):
        assert found[jti]["state"] == ("waiting" if err == "invalid_key" else "dead")
        assert found[jti]["last_outcome"] == err
        assert found[jti]["last_description"] == f"about {err}"
    clock.advance(30)
    assert [*(await poll(receiver, stream_id))["sets"]] == [jtis[1]]


# ---------------------------------------------------------------- who may poll


async def test_mistake_12_another_receivers_stream_is_not_found_and_nothing_is_settled(
    transmitter: TransmitterUnderTest,
):
    receiver, stream_id = await polled_stream(transmitter)
    thief = await transmitter.add_receiver()
    await transmitter.emit()
    (jti,) = (await poll(receiver, stream_id))["sets"]
    refused = await poll_response(
        thief, stream_id, ack=[jti], setErrs={"other": {"err": "invalid_key"}}
    )
    assert refused.status_code == 404
    (delivery,) = await transmitter.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("waiting", 1)
    unauthorized = await transmitter.anonymous.post(f"/ssf/v1/poll/{stream_id}", json={})
    assert unauthorized.status_code == 401
    assert unauthorized.headers["www-authenticate"].startswith("Bearer")


# ---------------------------------------------------------------- one bad SET among others


async def test_a_set_that_cannot_be_made_keeps_no_other_back(
    transmitter: TransmitterUnderTest, database: Database, clock: FakeClock
):
    """As with push: it is said in the log, and tried again later."""
    receiver, stream_id = await polled_stream(transmitter)
    await emit_many(transmitter, 3)
    broken = (await transmitter.deliveries())[1]
    async with database.transaction() as transaction:
        await transaction.execute(
            event_rows.update()
            .where(event_rows.c.event_id == broken["event_id"])
            .values(payload='{"x": NaN}')
        )
    answer = await poll(receiver, stream_id)
    assert len(answer["sets"]) == 2
    assert broken["jti"] not in answer["sets"]
    (line,) = [
        fields for action, fields in transmitter.log.lines if action == "poll.internal_fault"
    ]
    assert line["jti"] == broken["jti"]

    async with database.transaction() as transaction:
        await transaction.execute(event_rows.update().values(payload="{}"))
    clock.advance(30)
    assert broken["jti"] in (await poll(receiver, stream_id))["sets"]


# ---------------------------------------------------------------- what a wait costs


async def test_mistake_5_polls_that_wait_ask_the_database_nothing_and_hold_no_connection(
    transmitter: TransmitterUnderTest,
):
    receiver = await transmitter.add_receiver()
    count = 40
    streams = [
        (await receiver.create_stream(events_requested=[SESSION_REVOKED]))["stream_id"]
        for _ in range(count)
    ]
    database = transmitter.database
    with Statements(database) as asked:
        polls = [
            asyncio.create_task(poll(receiver, stream_id, returnImmediately=False))
            for stream_id in streams
        ]
        await until(lambda: asked.looks() == count and asked.connections_in_use() == 0)
        before = asked.count
        for _ in range(2_000):
            await asyncio.sleep(0)
        assert asked.count == before
        assert asked.connections_in_use() == 0

        await transmitter.built.rounds.run_once()
        rounds_cost = asked.count - before
        for one in polls[1:]:
            one.cancel()
        await asyncio.wait(polls[1:])
        before = asked.count
        await transmitter.built.rounds.run_once()
        assert asked.count - before == rounds_cost, "what a round costs hangs on who waits"
        polls[0].cancel()
        await asyncio.wait(polls)


async def test_what_a_pause_holds_wakes_no_poll_each_second(
    transmitter: TransmitterUnderTest,
):
    """A round looks for what another process has made due, which what is held is not."""
    receiver, stream_id = await polled_stream(transmitter)
    await set_status(receiver, stream_id, "paused")
    await transmitter.emit()
    with Statements(transmitter.database) as asked:
        waiting = asyncio.create_task(poll(receiver, stream_id, returnImmediately=False))
        await until(lambda: asked.looks() == 1)
        for _ in range(3):
            await transmitter.built.rounds.run_once()
            for _ in range(1_000):
                await asyncio.sleep(0)
        assert asked.looks() == 1
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_the_poll_of_another_process_is_woken_by_a_round(
    transmitter: TransmitterUnderTest, clock: FakeClock
):
    """No bell rings across processes, which only PostgreSQL allows more than one of."""
    receiver, stream_id = await polled_stream(transmitter)
    async with running_transmitter(transmitter.database, clock) as other:
        with Statements(transmitter.database) as asked:
            waiting = asyncio.create_task(poll(receiver, stream_id, returnImmediately=False))
            await until(lambda: asked.looks() == 1)
            await other.emit()
            assert not waiting.done()
            if transmitter.database.is_sqlite:
                waiting.cancel()
                await asyncio.wait([waiting])
                return
            await transmitter.built.rounds.run_once()
            async with asyncio.timeout(20):
                assert len((await waiting)["sets"]) == 1


async def test_a_poll_that_is_refused_says_why_and_keeps_its_cause(
    transmitter: TransmitterUnderTest,
):
    """A fault of the store reaches the log with what was behind it."""
    receiver, stream_id = await polled_stream(transmitter)
    async with transmitter.database.transaction() as transaction:
        await transaction.exec_driver_sql("ALTER TABLE deliveries RENAME TO deliveries_gone")
    response = await poll_response(receiver, stream_id, ack=["x"])
    assert response.status_code >= 500
    (line,) = [fields for action, fields in transmitter.log.lines if action == "request.failed"]
    assert "Group" not in line["error"]
    assert line["error"].split(" < ")[1] in {"OperationalError", "ProgrammingError"}


async def test_nothing_is_left_of_a_poll_once_it_is_answered(
    transmitter: TransmitterUnderTest, database: Database
):
    receiver, stream_id = await polled_stream(transmitter)
    await transmitter.emit(subject=SUBJECT)
    await poll(receiver, stream_id)
    await poll_response(receiver, "0" * 32)
    assert transmitter.built.bell.listened_to() == ()
    async with database.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(delivery_rows)) == 1
