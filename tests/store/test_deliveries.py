"""What waits, in which order it may go, and that an outcome is written once."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select

from ssf.rules.deliveries import DeliveryState
from ssf.rules.storage_errors import StorageError
from ssf.store import lanes
from ssf.store.database import Database
from ssf.store.deliveries import (
    SetError,
    acknowledge,
    drop_waiting,
    due_for_push,
    page_of_deliveries,
    poll_outlook,
    record_outcomes,
    set_errors,
)
from ssf.store.schema import deliveries as delivery_rows
from ssf.store.schema import events as event_rows
from ssf.store.schema import targets as target_rows
from tests.store.test_lanes import (
    NOW,
    add_delivery,
    add_target,
    lease_one,
    outcome,
    record,
)


async def rows(database: Database) -> dict[int, Any]:
    async with database.reading() as connection:
        found = await connection.execute(select(delivery_rows).order_by(delivery_rows.c.id))
        return {row.id: row for row in found}


async def due(database: Database, target_id: int, *, now: int = NOW, limit: int = 100) -> list[int]:
    async with database.reading() as connection:
        return [one.id for one in await due_for_push(connection, target_id, now=now, limit=limit)]


# ---------------------------------------------------------------- what may be sent now


async def test_what_is_due_comes_in_the_order_in_which_it_was_published(
    database: Database,
) -> None:
    target_id = await add_target(database)
    ids = [await add_delivery(database, target_id, subject=bytes([i % 3])) for i in range(9)]

    assert await due(database, target_id) == ids
    assert await due(database, target_id, limit=4) == ids[:4]


async def test_a_later_one_of_the_same_subject_stays_behind_an_earlier_one_that_is_not_due(
    database: Database,
) -> None:
    target_id = await add_target(database)
    await add_delivery(database, target_id, subject=b"a", next_attempt_at=NOW + 1)
    await add_delivery(database, target_id, subject=b"a")
    other = await add_delivery(database, target_id, subject=b"b")
    await add_delivery(database, target_id, subject=b"a")

    assert await due(database, target_id) == [other]


async def test_they_come_together_once_the_earlier_one_is_due(database: Database) -> None:
    target_id = await add_target(database)
    first = await add_delivery(database, target_id, next_attempt_at=NOW + 1)
    second = await add_delivery(database, target_id)

    assert await due(database, target_id, now=NOW) == []
    assert await due(database, target_id, now=NOW + 1) == [first, second]


@pytest.mark.parametrize(
    "state", [DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DROPPED]
)
async def test_an_earlier_one_that_is_settled_holds_up_nothing(
    database: Database, state: DeliveryState
) -> None:
    target_id = await add_target(database)
    await add_delivery(database, target_id, next_attempt_at=NOW + 1_000, state=state)
    later = await add_delivery(database, target_id)

    assert await due(database, target_id) == [later]


async def test_the_same_subject_at_another_target_holds_up_nothing(database: Database) -> None:
    stuck, free = await add_target(database), await add_target(database)
    await add_delivery(database, stuck, next_attempt_at=NOW + 1_000)
    later = await add_delivery(database, free)

    assert await due(database, free) == [later]
    assert await due(database, stuck) == []


async def test_order_holds_for_any_mix_of_subjects_states_and_times(database: Database) -> None:
    """Compared with the rule written down as a loop."""
    chance = random.Random(20_260_101)
    target_id = await add_target(database)
    expected: list[int] = []
    blocked: set[bytes] = set()
    for _ in range(150):
        subject = bytes([chance.randrange(12)])
        state = chance.choice([DeliveryState.WAITING, *DeliveryState])
        at = NOW + chance.choice([-5, 0, 1])
        row_id = await add_delivery(
            database, target_id, subject=subject, next_attempt_at=at, state=state
        )
        if state is not DeliveryState.WAITING:
            continue
        if at > NOW:
            blocked.add(subject)
        elif subject not in blocked:
            expected.append(row_id)

    assert await due(database, target_id, limit=1_000) == expected


async def test_a_delivery_carries_all_that_its_token_is_made_of(database: Database) -> None:
    target_id = await add_target(database)
    row_id = await add_delivery(database, target_id, subject=b"a")
    async with database.reading() as connection:
        [one] = await due_for_push(connection, target_id, now=NOW, limit=10)

    row = (await rows(database))[row_id]
    assert (one.jti, one.iat, one.subject_key) == (row.jti, NOW // 1_000_000, b"a")
    assert (one.attempts, one.first_due_at, one.txn, one.toe) == (0, NOW, None, None)
    assert (one.event_type, one.payload) == ("https://events.example.com/something", "{}")


async def test_finding_what_is_due_reads_the_partial_indexes_and_no_whole_table(
    sqlite_template: bytes, tmp_path: Path
) -> None:
    """A queue must not slow down as its history grows.

    On SQLite only: PostgreSQL's plan for an almost empty table says nothing.
    """
    (tmp_path / "ssf.db").write_bytes(sqlite_template)
    database = Database(f"sqlite:///{tmp_path / 'ssf.db'}")
    target_id = await add_target(database)
    await add_delivery(database, target_id, next_attempt_at=NOW + 1)
    statements: list[tuple[str, Any]] = []

    def keep(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        statements.append((statement, parameters))

    engine = database._readers.sync_engine
    event.listen(engine, "before_cursor_execute", keep)
    await due(database, target_id)
    async with database.reading() as connection:
        await poll_outlook(connection, target_id, now=NOW, notices_only=False)
    event.remove(engine, "before_cursor_execute", keep)

    plans = []
    async with database.reading() as connection:
        for statement, parameters in statements:
            if statement.startswith("SELECT"):
                explained = await connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", parameters
                )
                plans.append("; ".join(row.detail for row in explained))
    assert len(plans) == 3
    assert "ix_deliveries_waiting (" in plans[0]
    assert "ix_deliveries_waiting_subject" in plans[0]
    assert "ix_deliveries_waiting_until (target_id=? AND next_attempt_at<?)" in plans[1]
    assert "ix_deliveries_waiting_subject" in plans[1]
    assert "ix_deliveries_waiting_until" in plans[2]
    for plan in plans:
        assert "SCAN deliveries" not in plan
        assert "SCAN events" not in plan
        assert "TEMP B-TREE" not in plan
    await database.close()


# ---------------------------------------------------------------- outcomes


async def test_every_outcome_of_a_batch_is_written(database: Database) -> None:
    target_id = await add_target(database)
    ids = [await add_delivery(database, target_id, subject=bytes([i])) for i in range(4)]
    states = [
        DeliveryState.DELIVERED,
        DeliveryState.DEAD,
        DeliveryState.WAITING,
        DeliveryState.DELIVERED,
    ]
    async with database.transaction() as transaction:
        await record_outcomes(
            transaction,
            [
                outcome(row_id, state, attempts=i + 1, next_attempt_at=NOW + i)
                for i, (row_id, state) in enumerate(zip(ids, states, strict=True))
            ],
        )

    found = await rows(database)
    assert [found[i].state for i in ids] == [state.value for state in states]
    assert [found[i].attempts for i in ids] == [1, 2, 3, 4]
    assert [found[i].next_attempt_at for i in ids] == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert {found[i].last_status for i in ids} == {202}


@pytest.mark.parametrize(
    "state", [DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DROPPED]
)
async def test_what_is_settled_stays_as_it_is(database: Database, state: DeliveryState) -> None:
    target_id = await add_target(database)
    row_id = await add_delivery(database, target_id, state=state)
    before = (await rows(database))[row_id]

    async with database.transaction() as transaction:
        await record_outcomes(transaction, [outcome(row_id, DeliveryState.WAITING, attempts=9)])
        await record_outcomes(transaction, [outcome(row_id, DeliveryState.DELIVERED, attempts=9)])
        await acknowledge(transaction, target_id, [before.jti], now=NOW + 1)
        await set_errors(
            transaction,
            target_id,
            [SetError(jti=before.jti, err="invalid_key", description=None)],
            now=NOW + 1,
        )
        assert await drop_waiting(transaction, target_id, outcome="x", now=NOW + 1) == 0

    assert (await rows(database))[row_id] == before


async def test_dropping_takes_only_what_waits_for_that_target(database: Database) -> None:
    target_id, other = await add_target(database), await add_target(database)
    waiting = [await add_delivery(database, target_id) for _ in range(3)]
    done = await add_delivery(database, target_id, state=DeliveryState.DELIVERED)
    elsewhere = await add_delivery(database, other)

    async with database.transaction() as transaction:
        count = await drop_waiting(transaction, target_id, outcome="stream_disabled", now=NOW + 9)

    found = await rows(database)
    assert count == 3
    assert {found[i].state for i in waiting} == {"dropped"}
    assert {found[i].last_outcome for i in waiting} == {"stream_disabled"}
    assert {found[i].updated_at for i in waiting} == {NOW + 9}
    assert (found[done].state, found[elsewhere].state) == ("delivered", "waiting")


async def test_acknowledging_takes_no_notice_of_another_targets_jti(database: Database) -> None:
    mine, theirs = await add_target(database, method="poll"), await add_target(database)
    my_id, their_id = await add_delivery(database, mine), await add_delivery(database, theirs)
    jtis = [row.jti for row in (await rows(database)).values()]

    async with database.transaction() as transaction:
        await acknowledge(transaction, mine, [*jtis, "never-heard-of"], now=NOW)
        await set_errors(
            transaction,
            mine,
            [SetError(jti=jti, err="invalid_key", description="no") for jti in jtis],
            now=NOW,
        )

    found = await rows(database)
    assert (found[my_id].state, found[their_id].state) == ("delivered", "waiting")


# ---------------------------------------------------------------- the schema refuses nonsense


async def test_a_jti_is_given_once(database: Database) -> None:
    target_id = await add_target(database)
    row_id = await add_delivery(database, target_id)
    row = (await rows(database))[row_id]
    again = {**row._asdict(), "id": row_id + 1}

    with pytest.raises(StorageError):
        async with database.transaction() as transaction:
            await transaction.execute(insert(delivery_rows).values(**again))


async def test_a_state_that_is_none_is_refused(database: Database) -> None:
    target_id = await add_target(database)
    await add_delivery(database, target_id)

    with pytest.raises(StorageError):
        async with database.transaction() as transaction:
            await transaction.execute(delivery_rows.update().values(state="leased"))


async def test_a_delivery_without_its_event_is_refused(database: Database) -> None:
    target_id = await add_target(database)
    await add_delivery(database, target_id)

    with pytest.raises(StorageError):
        async with database.transaction() as transaction:
            await transaction.execute(event_rows.delete())


async def test_the_number_of_a_target_that_is_gone_never_names_another_one(
    database: Database,
) -> None:
    gone = await add_target(database)
    async with database.transaction() as transaction:
        await transaction.execute(target_rows.delete())

    assert await add_target(database) > gone


# ---------------------------------------------------------------- what an operator sees


async def test_deliveries_are_listed_oldest_first_by_what_is_asked(database: Database) -> None:
    one, two = await add_target(database), await add_target(database)
    ids = [await add_delivery(database, target) for target in (one, two, one)]
    dead = await add_delivery(database, two, state=DeliveryState.DEAD)
    async with database.reading() as connection:
        names = {row.id: row.name for row in await connection.execute(select(target_rows))}
        event_ids = (
            await connection.execute(select(event_rows.c.event_id).order_by(event_rows.c.id))
        ).scalars()
        of_second = list(event_ids)[1]

    async def listed(**asked: Any) -> list[int]:
        query: dict[str, Any] = {
            "project_id": 1,
            "event_id": None,
            "stream_id": None,
            "jti": None,
            "state": None,
            "after_id": 0,
            "limit": 10,
            **asked,
        }
        async with database.reading() as connection:
            return [record.id for record in await page_of_deliveries(connection, **query)]

    assert await listed() == [*ids, dead]
    assert await listed(stream_id=names[one]) == [ids[0], ids[2]]
    assert await listed(state=DeliveryState.DEAD) == [dead]
    assert await listed(event_id=of_second) == [ids[1]]
    assert await listed(after_id=ids[0], limit=2) == [ids[1], ids[2]]
    assert await listed(project_id=2) == []


async def test_a_delivery_outlives_its_target(database: Database) -> None:
    target_id = await add_target(database)
    row_id = await add_delivery(database, target_id)
    async with database.transaction() as transaction:
        await transaction.execute(target_rows.delete())

    async with database.reading() as connection:
        [shown] = await page_of_deliveries(
            connection,
            project_id=1,
            event_id=None,
            stream_id=None,
            jti=None,
            state=None,
            after_id=0,
            limit=10,
        )
    assert (shown.id, shown.stream_id) == (row_id, None)


# ---------------------------------------------------------------- two that write the same rows


async def test_recording_outcomes_does_not_deadlock_with_dropping_them(
    database: Database,
) -> None:
    """Outcomes come in the order of the answers; whoever locks the lane first may do as he likes."""
    target_id = await add_target(database, due_at=NOW)
    for turn in range(8):
        ids = [await add_delivery(database, target_id, subject=bytes([i])) for i in range(60)]
        async with database.transaction() as transaction:
            await lanes.free_all(transaction, now=NOW)
            await lanes.mark(transaction, due=[target_id], now=NOW)
        leased = await lease_one(database)
        answered = [outcome(row_id) for row_id in reversed(ids)]

        async def drop() -> None:
            async with database.transaction() as transaction:
                await lanes.lock(transaction, target_id)
                await drop_waiting(transaction, target_id, outcome="stream_disabled", now=NOW)

        async with asyncio.TaskGroup() as race:
            race.create_task(record(database, leased, *answered))
            race.create_task(drop())

        states = {row.state for row in (await rows(database)).values()}
        assert states <= {"delivered", "dropped"}, turn
