"""Leases and fencing: one worker per lane, nothing lost between publishing and letting go."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from ssf.clock import MICROSECONDS
from ssf.rules.deliveries import DeliveryKind, DeliveryState, Recorded
from ssf.rules.events import StoredEvent
from ssf.rules.storage_errors import LeaseLost
from ssf.rules.targets import LeasedTarget
from ssf.store import lanes
from ssf.store.database import Connection, Database
from ssf.store.deliveries import NewDelivery, add_deliveries, record_outcomes
from ssf.store.events import add_event
from ssf.store.projects import ensure_default_project
from ssf.store.schema import deliveries as delivery_rows
from ssf.store.schema import lanes as lane_rows
from ssf.store.schema import targets as target_rows
from tests.postgres import PostgresServer

NOW = 1_800_000_000 * MICROSECONDS
LEASE = 30 * MICROSECONDS


@pytest.fixture
async def postgres_database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """For what only PostgreSQL can do: several writers at once."""
    name = await postgres.new_database()
    opened = Database(postgres.url_of(name))
    yield opened
    await opened.close()
    await postgres.drop(name)


# ---------------------------------------------------------------- rows to work on


async def add_target(
    database: Database,
    *,
    method: str = "push",
    status: str = "enabled",
    due_at: int | None = None,
    gate_until: int = 0,
) -> int:
    """A target with its lane, and nothing else."""
    async with database.transaction() as transaction:
        project_id = await ensure_default_project(transaction, now=NOW)
        added = await transaction.execute(
            insert(target_rows)
            .values(
                project_id=project_id,
                name=secrets.token_hex(8),
                method=method,
                status=status,
                endpoint_url="https://receiver.example.com/" if method == "push" else None,
                audience=json.dumps(["https://receiver.example.com"]),
            )
            .returning(target_rows.c.id)
        )
        target_id = int(added.scalar_one())
        await transaction.execute(
            insert(lane_rows).values(target_id=target_id, due_at=due_at, gate_until=gate_until)
        )
    return target_id


async def add_delivery_within(
    transaction: Connection, target_id: int, *, subject: bytes = b"subject", now: int = NOW
) -> int:
    """A delivery that waits, and its event, in the caller's transaction."""
    event_row = await add_event(
        transaction,
        StoredEvent(
            project_id=1,
            event_id=f"evt_{secrets.token_hex(8)}",
            event_type="https://events.example.com/something",
            subject='{"format":"opaque","id":"1"}',
            subject_key=subject,
            payload="{}",
            txn=None,
            toe=None,
            audience=None,
            created_at=now,
        ),
    )
    jti = secrets.token_hex(8)
    await add_deliveries(
        transaction,
        [NewDelivery(target_id=target_id, jti=jti)],
        event_row=event_row,
        subject_key=subject,
        kind=DeliveryKind.EVENT,
        now=now,
    )
    found = await transaction.execute(select(delivery_rows.c.id).where(delivery_rows.c.jti == jti))
    return int(found.scalar_one())


async def add_delivery(
    database: Database,
    target_id: int,
    *,
    subject: bytes = b"subject",
    next_attempt_at: int = NOW,
    state: DeliveryState = DeliveryState.WAITING,
) -> int:
    """A delivery in any state, due at any time."""
    async with database.transaction() as transaction:
        delivery_id = await add_delivery_within(transaction, target_id, subject=subject)
        await transaction.execute(
            update(delivery_rows)
            .where(delivery_rows.c.id == delivery_id)
            .values(next_attempt_at=next_attempt_at, state=state.value)
        )
    return delivery_id


async def lane_of(database: Database, target_id: int) -> Any:
    async with database.reading() as connection:
        found = await connection.execute(
            select(lane_rows).where(lane_rows.c.target_id == target_id)
        )
        return found.one_or_none()


async def lease(
    database: Database, *, now: int = NOW, owner: str = "worker", limit: int = 64
) -> list[LeasedTarget]:
    async with database.transaction() as transaction:
        return [
            *await lanes.lease(
                transaction, owner=owner, now=now, lease_microseconds=LEASE, limit=limit
            )
        ]


async def lease_one(database: Database, *, now: int = NOW, owner: str = "worker") -> LeasedTarget:
    [leased] = await lease(database, now=now, owner=owner)
    return leased


async def let_go(
    database: Database, target: LeasedTarget, *, now: int = NOW, has_more: bool = False
) -> None:
    """As after a drain that read its slice and ended in the same moment."""
    async with database.transaction() as transaction:
        await lanes.let_go(transaction, target, looked_at=now, has_more=has_more, now=now)


async def record(database: Database, target: LeasedTarget, *outcomes: Recorded) -> None:
    """As a worker does it: under the fencing token of its lease."""
    async with database.transaction() as transaction:
        await lanes.require_lease(transaction, target)
        await record_outcomes(transaction, outcomes)


def outcome(
    delivery_id: int,
    state: DeliveryState = DeliveryState.DELIVERED,
    *,
    attempts: int = 1,
    next_attempt_at: int = NOW,
) -> Recorded:
    return Recorded(
        delivery_id=delivery_id,
        state=state,
        attempts=attempts,
        invalid_key_count=0,
        next_attempt_at=next_attempt_at,
        outcome=state.value,
        status=202,
        description=None,
        at=NOW,
    )


async def until_somebody_waits_for_a_lock(database: Database, count: int = 1) -> None:
    """Returns once so many transactions on this PostgreSQL database wait for another one."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(20):
        while True:
            async with database.reading() as connection:
                if (await connection.execute(waiting)).scalar_one() >= count:
                    return


# ---------------------------------------------------------------- leasing


async def test_a_lane_that_is_due_is_leased_once(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)

    first, second = await lease(database), await lease(database)

    assert [target.id for target in first] == [target_id]
    assert second == []


async def test_a_lease_says_who_has_it_until_when_and_with_which_token(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)

    leased = await lease_one(database, owner="node-1")

    assert leased.lease_expires_at == NOW + LEASE
    assert leased.fencing_token == 1
    assert leased.audience == ("https://receiver.example.com",)
    lane = await lane_of(database, target_id)
    assert (lane.lease_owner, lane.lease_expires_at) == ("node-1", NOW + LEASE)


async def test_a_lease_lasts_until_it_expires_and_not_longer(database: Database) -> None:
    await add_target(database, due_at=NOW)
    await lease_one(database)

    assert await lease(database, now=NOW + LEASE - 1) == []
    assert len(await lease(database, now=NOW + LEASE)) == 1


async def test_each_lease_of_a_lane_has_a_larger_fencing_token(database: Database) -> None:
    await add_target(database, due_at=NOW)

    tokens = [(await lease_one(database, now=NOW + LEASE * i)).fencing_token for i in range(5)]

    assert tokens == sorted(set(tokens))


async def test_the_token_grows_too_when_the_lane_was_let_go_in_between(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)
    await add_delivery(database, target_id)
    first = await lease_one(database)
    await let_go(database, first, has_more=True)

    second = await lease_one(database)

    assert second.fencing_token > first.fencing_token


@pytest.mark.parametrize(
    ("method", "status"),
    [("push", "paused"), ("push", "disabled"), ("poll", "enabled"), ("poll", "paused")],
)
async def test_only_push_targets_that_are_enabled_are_leased(
    database: Database, method: str, status: str
) -> None:
    await add_target(database, method=method, status=status, due_at=NOW)

    assert await lease(database) == []
    async with database.reading() as connection:
        assert not await lanes.is_any_due(connection, now=NOW)


async def test_a_lane_that_is_not_due_is_not_leased(database: Database) -> None:
    await add_target(database, due_at=None)
    await add_target(database, due_at=NOW + 1)

    assert await lease(database) == []


async def test_a_lane_behind_its_gate_is_not_leased_before_the_gate_opens(
    database: Database,
) -> None:
    await add_target(database, due_at=NOW, gate_until=NOW + 5)

    assert await lease(database, now=NOW + 4) == []
    assert len(await lease(database, now=NOW + 5)) == 1


async def test_closing_the_gate_again_never_opens_it_sooner(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)
    leased = await lease_one(database)
    for until in (NOW + 100, NOW + 50):
        async with database.transaction() as transaction:
            await lanes.close_gate(transaction, leased, until=until)

    assert (await lane_of(database, target_id)).gate_until == NOW + 100


async def test_the_longest_waiting_lanes_are_leased_first(database: Database) -> None:
    ids = [await add_target(database, due_at=NOW - age) for age in (1, 3, 2, 5, 4)]

    first = await lease(database, limit=3)
    then = await lease(database, limit=3)

    assert {target.id for target in first} == {ids[3], ids[4], ids[1]}
    assert {target.id for target in then} == {ids[2], ids[0]}


async def test_f_23_workers_that_lease_at_once_never_share_a_lane(database: Database) -> None:
    expected = {await add_target(database, due_at=NOW) for _ in range(40)}
    got: list[int] = []

    async def work(owner: str) -> None:
        while leased := await lease(database, owner=owner, limit=3):
            got.extend(target.id for target in leased)
            await asyncio.sleep(0)

    # A worker that is passed over by SKIP LOCKED may end early; one that comes after all of
    # them takes what they left.
    async with asyncio.TaskGroup() as workers:
        for number in range(6):
            workers.create_task(work(f"worker {number}"))
    await work("the last")

    assert sorted(got) == sorted(expected)


async def test_a_worker_passes_over_a_lane_that_another_one_is_just_leasing(
    postgres_database: Database,
) -> None:
    busy = await add_target(postgres_database, due_at=NOW)
    free = await add_target(postgres_database, due_at=NOW + 1)
    async with postgres_database.transaction() as transaction:
        await transaction.execute(
            select(lane_rows).where(lane_rows.c.target_id == busy).with_for_update()
        )

        leased = await lease(postgres_database, now=NOW + 1)

    assert [target.id for target in leased] == [free]


# ---------------------------------------------------------------- fencing


async def test_f_24_a_worker_whose_lease_was_taken_over_cannot_record(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)
    delivery_id = await add_delivery(database, target_id)
    old = await lease_one(database, owner="stopped")
    new = await lease_one(database, now=NOW + LEASE, owner="the other one")
    await record(database, new, outcome(delivery_id))

    with pytest.raises(LeaseLost):
        await record(database, old, outcome(delivery_id, DeliveryState.WAITING, attempts=7))

    async with database.reading() as connection:
        row = (await connection.execute(select(delivery_rows))).one()
    assert (row.state, row.attempts) == ("delivered", 1)


async def test_a_worker_whose_lease_was_taken_over_cannot_let_the_lane_go(
    database: Database,
) -> None:
    target_id = await add_target(database, due_at=NOW)
    old = await lease_one(database)
    new = await lease_one(database, now=NOW + LEASE, owner="the other one")

    with pytest.raises(LeaseLost):
        await let_go(database, old)

    lane = await lane_of(database, target_id)
    assert (lane.lease_owner, lane.fencing_token) == ("the other one", new.fencing_token)
    assert lane.lease_expires_at == new.lease_expires_at


async def test_a_lane_cannot_be_let_go_twice_nor_recorded_for_afterwards(
    database: Database,
) -> None:
    target_id = await add_target(database, due_at=NOW)
    delivery_id = await add_delivery(database, target_id)
    leased = await lease_one(database)
    await let_go(database, leased)

    with pytest.raises(LeaseLost):
        await let_go(database, leased)
    with pytest.raises(LeaseLost):
        await record(database, leased, outcome(delivery_id))


async def test_the_lane_of_a_target_that_is_gone_counts_as_lost(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)
    leased = await lease_one(database)
    async with database.transaction() as transaction:
        await transaction.execute(target_rows.delete().where(target_rows.c.id == target_id))

    with pytest.raises(LeaseLost):
        await let_go(database, leased)


async def test_an_expired_lease_that_nobody_took_over_may_still_record(database: Database) -> None:
    """The token decides, not the clock: nobody else has sent anything meanwhile."""
    target_id = await add_target(database, due_at=NOW)
    delivery_id = await add_delivery(database, target_id)
    leased = await lease_one(database)

    await record(database, leased, outcome(delivery_id))
    await let_go(database, leased)

    assert (await lane_of(database, target_id)).due_at is None


async def test_free_all_ends_every_lease_and_keeps_the_old_tokens_out(database: Database) -> None:
    for _ in range(3):
        target_id = await add_target(database, due_at=NOW)
        await add_delivery(database, target_id)
    before = await lease(database)

    async with database.transaction() as transaction:
        await lanes.free_all(transaction, now=NOW)

    for target in before:
        with pytest.raises(LeaseLost):
            await let_go(database, target)
    after = await lease(database)
    old = {target.id: target.fencing_token for target in before}
    new = {target.id: target.fencing_token for target in after}
    assert {*new} == {*old}
    assert all(new[target_id] > token for target_id, token in old.items())


async def test_recording_and_taking_over_at_once_leave_one_winner(database: Database) -> None:
    """Either the outcome is recorded before the lease changes hands, or not at all."""
    target_id = await add_target(database, due_at=NOW)
    for turn in range(20):
        delivery_id = await add_delivery(database, target_id, subject=f"{turn}".encode())
        now = NOW + turn * 10 * LEASE
        async with database.transaction() as transaction:
            await lanes.mark(transaction, due=[target_id], now=now)
            await lanes.free_all(transaction, now=now)
        old = await lease_one(database, now=now)
        lost = False

        async def finish(lease_held: LeasedTarget = old, delivery: int = delivery_id) -> None:
            nonlocal lost
            try:
                await record(database, lease_held, outcome(delivery))
            except LeaseLost:
                lost = True

        async with asyncio.TaskGroup() as race:
            race.create_task(finish())
            taking_over = race.create_task(lease(database, now=now + LEASE))
        taken_over = taking_over.result()

        async with database.reading() as connection:
            row = (
                await connection.execute(
                    select(delivery_rows).where(delivery_rows.c.id == delivery_id)
                )
            ).one()
        assert (row.state == "waiting") == lost
        # PostgreSQL passes over a lane that is just being recorded for.
        assert taken_over or not lost


# ---------------------------------------------------------------- when a lane is due


async def test_marking_due_moves_a_lane_to_the_front_and_never_back(database: Database) -> None:
    cases = {None: NOW, NOW + 10: NOW, NOW: NOW, NOW - 10: NOW - 10}
    ids = [await add_target(database, due_at=before) for before in cases]

    async with database.transaction() as transaction:
        await lanes.mark(transaction, due=ids, now=NOW)

    found = [(await lane_of(database, target_id)).due_at for target_id in ids]
    assert found == list(cases.values())


async def test_marking_due_a_target_that_is_gone_does_nothing(database: Database) -> None:
    there = await add_target(database)

    async with database.transaction() as transaction:
        await lanes.mark(transaction, due=[there, there + 1_000], now=NOW)

    assert (await lane_of(database, there)).due_at == NOW


async def test_a_lane_let_go_without_anything_waiting_is_never_due(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)
    await add_delivery(database, target_id, state=DeliveryState.DELIVERED)
    await add_delivery(database, target_id, state=DeliveryState.DEAD)
    await add_delivery(database, target_id, state=DeliveryState.DROPPED)

    await let_go(database, await lease_one(database))

    lane = await lane_of(database, target_id)
    assert (lane.due_at, lane.lease_owner, lane.lease_expires_at) == (None, None, 0)


async def test_a_lane_let_go_is_due_with_the_first_head_of_a_subject(database: Database) -> None:
    target_id = await add_target(database, due_at=NOW)
    await add_delivery(database, target_id, subject=b"a", next_attempt_at=NOW + 50)
    await add_delivery(database, target_id, subject=b"a", next_attempt_at=NOW)  # behind the first
    await add_delivery(database, target_id, subject=b"b", next_attempt_at=NOW + 20)
    await add_delivery(database, target_id, subject=b"c", state=DeliveryState.DEAD)
    await add_delivery(database, target_id, subject=b"c", next_attempt_at=NOW + 30)

    await let_go(database, await lease_one(database))

    assert (await lane_of(database, target_id)).due_at == NOW + 20


async def test_a_settled_delivery_does_not_hold_up_those_of_its_subject(
    database: Database,
) -> None:
    target_id = await add_target(database, due_at=NOW)
    first = await add_delivery(database, target_id, next_attempt_at=NOW)
    await add_delivery(database, target_id, next_attempt_at=NOW + 5)
    leased = await lease_one(database)
    await record(database, leased, outcome(first, DeliveryState.DEAD))

    await let_go(database, leased)

    assert (await lane_of(database, target_id)).due_at == NOW + 5


async def test_a_lane_let_go_with_more_to_send_is_due_at_once(database: Database) -> None:
    """The turn was over before the slice was: the others come first, then this one again."""
    target_id = await add_target(database, due_at=NOW)
    await add_delivery(database, target_id)

    await let_go(database, await lease_one(database), now=NOW + 3, has_more=True)

    assert (await lane_of(database, target_id)).due_at == NOW + 3


async def test_looking_whether_anything_is_due_says_what_leasing_would_find(
    database: Database,
) -> None:
    await add_target(database, due_at=NOW + 5)
    await add_target(database, due_at=NOW, gate_until=NOW + 9)
    await add_target(database, due_at=NOW, status="paused")
    found = {}
    for now in (NOW, NOW + 4, NOW + 5, NOW + 8, NOW + 9, NOW + 5 + LEASE, NOW + 9 + LEASE):
        async with database.reading() as connection:
            looked = await lanes.is_any_due(connection, now=now)
        leased = await lease(database, now=now)
        assert looked == bool(leased), now - NOW
        found[now - NOW] = looked
    assert [*found.values()] == [False, False, True, False, True, True, True]


async def test_resuming_makes_a_lane_due_at_once_and_opens_its_gate(database: Database) -> None:
    target_id = await add_target(database, due_at=None, gate_until=NOW + 100)

    async with database.transaction() as transaction:
        await lanes.resume(transaction, target_id, now=NOW + 7)

    [leased] = await lease(database, now=NOW + 7)
    assert (leased.id, leased.resumed_at) == (target_id, NOW + 7)


CHANGES: dict[str, dict[str, Any]] = {
    "paused": {"status": "paused"},
    "disabled": {"status": "disabled"},
    "polled": {"method": "poll", "endpoint_url": None},
    "moved": {"endpoint_url": "https://elsewhere.example.com/"},
    "given other credentials": {"authorization_sealed": "sealed"},
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_target_that_was_changed_is_still_recorded_for_and_no_longer_pushed_to(
    database: Database, change: str
) -> None:
    target_id = await add_target(database, due_at=NOW)
    leased = await lease_one(database)
    async with database.transaction() as transaction:
        assert await lanes.require_lease(transaction, leased) is True
        await transaction.execute(
            update(target_rows).where(target_rows.c.id == target_id).values(**CHANGES[change])
        )
    async with database.transaction() as transaction:
        assert await lanes.require_lease(transaction, leased) is False
    await let_go(database, leased)


# ---------------------------------------------------------------- races


async def publish(database: Database, target_ids: list[int], *, now: int) -> None:
    """What the pipeline does: deliveries first, then the lanes, in one transaction."""
    async with database.transaction() as transaction:
        for target_id in target_ids:
            await add_delivery_within(transaction, target_id, now=now)
        await lanes.mark(transaction, due=target_ids, now=now)


async def test_nothing_is_lost_between_publishing_and_letting_go(database: Database) -> None:
    """Whoever comes second sees the other: the lane is due, or the worker saw the delivery."""
    target_id = await add_target(database, due_at=NOW)
    for turn in range(40):
        now = NOW + turn
        leased = await lease_one(database, now=now)
        async with database.transaction() as transaction:
            await transaction.execute(
                update(delivery_rows).values(state=DeliveryState.DELIVERED.value)
            )

        async with asyncio.TaskGroup() as race:
            work = [let_go(database, leased, now=now), publish(database, [target_id], now=now)]
            for one in work if turn % 2 else reversed(work):
                race.create_task(one)

        lane = await lane_of(database, target_id)
        assert lane.lease_owner is None
        assert lane.due_at == now


async def test_letting_go_waits_for_a_publisher_that_has_the_lane(
    postgres_database: Database,
) -> None:
    target_id = await add_target(postgres_database, due_at=NOW)
    leased = await lease_one(postgres_database)

    async with asyncio.TaskGroup() as race:
        async with postgres_database.transaction() as publishing:
            await add_delivery_within(publishing, target_id)
            await lanes.mark(publishing, due=[target_id], now=NOW)
            letting_go = race.create_task(let_go(postgres_database, leased))
            await until_somebody_waits_for_a_lock(postgres_database)
            assert not letting_go.done()

    assert (await lane_of(postgres_database, target_id)).due_at == NOW


async def test_publishing_waits_for_a_worker_that_is_letting_the_lane_go(
    postgres_database: Database,
) -> None:
    target_id = await add_target(postgres_database, due_at=NOW)
    leased = await lease_one(postgres_database)

    async with asyncio.TaskGroup() as race:
        async with postgres_database.transaction() as worker:
            await lanes.let_go(worker, leased, looked_at=NOW, has_more=False, now=NOW)
            publishing = race.create_task(publish(postgres_database, [target_id], now=NOW + 1))
            await until_somebody_waits_for_a_lock(postgres_database)
            assert not publishing.done()

    assert (await lane_of(postgres_database, target_id)).due_at == NOW + 1


async def test_publishers_with_the_same_targets_in_another_order_do_not_deadlock(
    database: Database,
) -> None:
    ids = [await add_target(database) for _ in range(12)]

    async with asyncio.TaskGroup() as publishers:
        for turn in range(12):
            order = ids if turn % 2 else ids[::-1]
            publishers.create_task(publish(database, order, now=NOW))

    async with database.reading() as connection:
        rows = (await connection.execute(select(delivery_rows.c.target_id))).scalars().all()
    assert sorted(rows) == sorted(ids * 12)


async def test_a_pause_that_commits_while_an_outcome_waits_for_the_lane_is_noticed(
    postgres_database: Database,
) -> None:
    """Whoever waits for a lock must not judge by what was there before the wait."""
    target_id = await add_target(postgres_database, due_at=NOW)
    leased = await lease_one(postgres_database)

    async def is_current() -> bool:
        async with postgres_database.transaction() as worker:
            return await lanes.require_lease(worker, leased)

    async with asyncio.TaskGroup() as race:
        async with postgres_database.transaction() as pausing:
            await lanes.lock(pausing, target_id)
            await pausing.execute(
                update(target_rows).where(target_rows.c.id == target_id).values(status="paused")
            )
            asking = race.create_task(is_current())
            await until_somebody_waits_for_a_lock(postgres_database)

    assert asking.result() is False


async def test_a_notice_that_went_out_with_everything_else_is_due_no_more(
    database: Database,
) -> None:
    """Otherwise each look for notices would go through every target that ever had one."""
    target_id = await add_target(database)
    async with database.transaction() as transaction:
        delivery_id = await add_delivery_within(transaction, target_id)
        await transaction.execute(update(delivery_rows).values(kind="notice"))
        await lanes.mark(transaction, due=[target_id], is_notice=True, now=NOW)

    leased = await lease_one(database)
    async with database.transaction() as transaction:
        await lanes.let_go(
            transaction, leased, looked_at=NOW, has_more=False, now=NOW, again_at=NOW + 5
        )
    assert (await lane_of(database, target_id)).notice_due_at == NOW

    leased = await lease_one(database, now=NOW + 5)
    async with database.transaction() as transaction:
        await transaction.execute(
            update(delivery_rows)
            .where(delivery_rows.c.id == delivery_id)
            .values(state=DeliveryState.DELIVERED.value)
        )
        await lanes.let_go(transaction, leased, looked_at=NOW + 5, has_more=False, now=NOW + 5)
    lane = await lane_of(database, target_id)
    assert (lane.due_at, lane.notice_due_at) == (None, None)
