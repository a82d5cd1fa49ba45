"""Lanes: one row per target, saying when it has something due and who drains it.

A lease ends by being let go or by expiring; liveness hangs on no worker's name. Each lease has a
larger fencing token than the one before, and outcomes are written only under the token that is
current, so a worker that was stopped and wakes up late can change nothing.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Select, case, exists, func, or_, select, update

from ssf.rules.storage_errors import LeaseLost
from ssf.rules.targets import LeasedTarget, SetShape
from ssf.store.database import Connection
from ssf.store.schema import NOTICE, WAITING, deliveries, lanes, targets

_MAX_IDS_AT_ONCE = 10_000
"""Both databases take about 32 000 parameters in a statement."""


async def mark(
    connection: Connection,
    *,
    due: Sequence[int] = (),
    dropped: Sequence[int] = (),
    is_notice: bool = False,
    now: int,
) -> None:
    """Says what a new event means to lanes.

    On PostgreSQL the rows are locked first, in order: two publishers must not wait for each
    other, and a worker that is letting a lane go must be waited for, since the conditions below
    would otherwise be judged by what the lane was before.

    Args:
        due: Targets that have something to send now, or had already.
        dropped: Targets for which the event is written down as dropped.
        is_notice: Whether it is sent whatever the status of the target.
    """
    if connection.dialect.name == "postgresql":
        for some in _parts(sorted({*due, *dropped})):
            await connection.execute(
                select(lanes.c.target_id)
                .where(lanes.c.target_id.in_(some))
                .order_by(lanes.c.target_id)
                .with_for_update()
            )
    for some in _parts(due):
        for when in (lanes.c.due_at, lanes.c.notice_due_at) if is_notice else (lanes.c.due_at,):
            await connection.execute(
                update(lanes)
                .where(lanes.c.target_id.in_(some), or_(when.is_(None), when > now))
                .values({when.name: now})
            )
    for some in _parts(dropped):
        await connection.execute(
            update(lanes).where(lanes.c.target_id.in_(some)).values(dropped=lanes.c.dropped + 1)
        )


def _parts(target_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(target_ids), _MAX_IDS_AT_ONCE):
        yield target_ids[start : start + _MAX_IDS_AT_ONCE]


async def count_dropped(connection: Connection, target_id: int, count: int) -> None:
    """Adds to the number of deliveries that were dropped for a target; its lane is locked."""
    if count:
        await connection.execute(
            update(lanes)
            .where(lanes.c.target_id == target_id)
            .values(dropped=lanes.c.dropped + count)
        )


async def lease(
    connection: Connection, *, owner: str, now: int, lease_microseconds: int, limit: int
) -> Sequence[LeasedTarget]:
    """Leases lanes that are due, the longest waiting first.

    A target that is paused or disabled is leased for its notices only.

    Args:
        connection: A writing transaction.
        owner: Name of the worker, for people who look at the table.
        now: Microseconds UTC.
        lease_microseconds: How long the lease lasts.
        limit: At most so many lanes.
    """
    expires_at = now + lease_microseconds
    ids: dict[bool, Sequence[int]] = {}
    for notices_only in (False, True):
        left = limit - sum(map(len, ids.values()))
        due = _due_lanes(now, left, notices_only=notices_only)
        found = await connection.execute(due.with_for_update(of=lanes, skip_locked=True))
        ids[notices_only] = [row.target_id for row in found]
        if ids[notices_only]:
            await connection.execute(
                update(lanes)
                .where(lanes.c.target_id.in_(ids[notices_only]))
                .values(
                    {
                        "lease_owner": owner,
                        "lease_expires_at": expires_at,
                        "fencing_token": lanes.c.fencing_token + 1,
                        # A worker that dies leaves a lane that is due when its lease is over. A
                        # publisher moves this forward, by which `let_go` sees that something
                        # came meanwhile.
                        _when(notices_only=notices_only).name: expires_at,
                    }
                )
            )
    if not any(ids.values()):
        return []
    leased = await connection.execute(
        select(
            targets.c.id,
            targets.c.name,
            targets.c.endpoint_url,
            targets.c.authorization_sealed,
            targets.c.audience,
            targets.c.subject_format,
            targets.c.legacy_event_uris,
            targets.c.subject_in_event,
            lanes.c.fencing_token,
            lanes.c.resumed_at,
        )
        .join_from(lanes, targets, targets.c.id == lanes.c.target_id)
        .where(lanes.c.target_id.in_([*ids[False], *ids[True]]))
    )
    return [
        LeasedTarget(
            id=row.id,
            name=row.name,
            fencing_token=row.fencing_token,
            lease_expires_at=expires_at,
            resumed_at=row.resumed_at,
            endpoint_url=row.endpoint_url,
            authorization_sealed=row.authorization_sealed,
            audience=tuple(json.loads(row.audience)),
            notices_only=row.id in ids[True],
            shape=SetShape(
                subject_format=row.subject_format,
                legacy_event_uris=row.legacy_event_uris,
                subject_in_event=row.subject_in_event,
            ),
        )
        for row in leased
    ]


def _when(*, notices_only: bool) -> Column[int]:
    """When a lane is due: as long as its target is stopped, only its notices count."""
    return lanes.c.notice_due_at if notices_only else lanes.c.due_at


def _due_lanes(now: int, limit: int, *, notices_only: bool) -> Select[tuple[int]]:
    when = _when(notices_only=notices_only)
    is_enabled = targets.c.status == "enabled"
    return (
        select(lanes.c.target_id)
        .join(targets, targets.c.id == lanes.c.target_id)
        .where(
            when <= now,
            lanes.c.gate_until <= now,
            lanes.c.lease_expires_at <= now,
            targets.c.method == "push",
            ~is_enabled if notices_only else is_enabled,
        )
        .order_by(when)
        .limit(limit)
    )


async def is_any_due(connection: Connection, *, now: int) -> bool:
    """Whether `lease` would find a lane."""
    for notices_only in (False, True):
        found = await connection.execute(_due_lanes(now, 1, notices_only=notices_only))
        if found.first() is not None:
            return True
    return False


async def lock(connection: Connection, target_id: int) -> None:
    """Locks a lane, which whoever changes deliveries of its target does first.

    One order for all keeps two transactions on PostgreSQL from waiting for each other. On SQLite
    a writing transaction has everything locked already.
    """
    if connection.dialect.name == "sqlite":
        return
    await connection.execute(
        select(lanes.c.target_id).where(lanes.c.target_id == target_id).with_for_update()
    )


async def lock_polled(connection: Connection, target_id: int, *, notices_only: bool) -> bool:
    """Locks a lane for a poll, and says whether its target is still as the poll has found it.

    Args:
        connection: A writing transaction.
        target_id: The target.
        notices_only: Whether the target was stopped when the poll looked at it.

    Returns:
        False after its status or method was changed, or it was deleted: nothing may be handed out
        before the poll has looked again.
    """
    # Two statements: on PostgreSQL one that waits for a lock sees other tables as they were
    # before the wait.
    await lock(connection, target_id)
    found = await connection.execute(
        select(targets.c.status, targets.c.method).where(targets.c.id == target_id)
    )
    row = found.one_or_none()
    return row is not None and row.method == "poll" and (row.status != "enabled") == notices_only


async def require_lease(connection: Connection, target: LeasedTarget) -> bool:
    """Makes sure that the lane is still ours, and that it stays so in this transaction.

    Returns:
        Whether the target is still to be pushed to in the way in which it was leased. False
        after its status, method, URL or credentials were changed: no further push may begin.

    Raises:
        LeaseLost: The lane was leased again since, or the target is gone.
    """
    # By itself: on PostgreSQL a statement that waits for a lock sees other tables as they were
    # before the wait, and would miss the pause that it waited for.
    await lock(connection, target.id)
    return await is_as_leased(connection, target)


async def is_as_leased(connection: Connection, target: LeasedTarget) -> bool:
    """As `require_lease`, for this moment only: nothing is locked.

    Raises:
        LeaseLost: The lane was leased again since, or the target is gone.
    """
    found = await connection.execute(
        select(
            lanes.c.fencing_token,
            lanes.c.resumed_at,
            targets.c.status,
            targets.c.method,
            targets.c.endpoint_url,
            targets.c.authorization_sealed,
        )
        .join_from(lanes, targets, targets.c.id == lanes.c.target_id)
        .where(lanes.c.target_id == target.id, lanes.c.lease_owner.is_not(None))
    )
    row = found.one_or_none()
    if row is None or row.fencing_token != target.fencing_token:
        raise LeaseLost(f"The lane of target {target.id} was leased to another worker.")
    is_stopped = row.status != "enabled"
    now = (is_stopped, row.method, row.endpoint_url, row.authorization_sealed)
    as_leased = (target.notices_only, "push", target.endpoint_url, target.authorization_sealed)
    # The same again after something else is another: what was read before is not what waits now.
    return now == as_leased and bool(row.resumed_at == target.resumed_at)


async def close_gate(connection: Connection, target: LeasedTarget, *, until: int) -> None:
    """Leaves a whole target alone until then; it asked for it."""
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target.id, lanes.c.gate_until < until)
        .values(gate_until=until)
    )


async def let_go(
    connection: Connection,
    target: LeasedTarget,
    *,
    looked_at: int,
    has_more: bool,
    now: int,
    again_at: int | None = None,
) -> None:
    """Ends the lease and says when the lane is due again.

    Nothing is counted or scanned here, however much waits. What waits behind a delivery that is
    tried again later has a time in the past; the delivery before it has the one that matters.

    Args:
        looked_at: Microseconds UTC at which the slice that was worked off was read.
        has_more: Whether something in or behind the slice was due and not attempted.
        now: Microseconds UTC.
        again_at: The earliest retry that this lease gave out; None for none. Told, because a
            clock that was set back meanwhile put it before `looked_at`.

    Raises:
        LeaseLost: The lane was leased again since, or the target is gone.
    """
    await require_lease(connection, target)
    if has_more:
        next_at: int | None = now
    elif target.notices_only:
        next_at = await connection.scalar(_first_notice(target.id))
    else:
        next_at = await _first_waiting_after(connection, target.id, looked_at)
    if again_at is not None:
        next_at = again_at if next_at is None else min(next_at, again_at)
    when = _when(notices_only=target.notices_only)
    came_meanwhile = when < target.lease_expires_at
    values: dict[str, Any] = {when.name: case((came_meanwhile, when), else_=next_at)}
    if not target.notices_only:
        # Notices went out with everything else; one that is left has a lane when the target stops.
        first_notice = _first_notice(target.id).scalar_subquery()
        values["notice_due_at"] = case(
            (lanes.c.notice_due_at.is_not(None), first_notice), else_=None
        )
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target.id)
        .values(values | {"lease_owner": None, "lease_expires_at": 0})
    )


async def resume(connection: Connection, target_id: int, *, now: int) -> None:
    """Makes a lane due at once: its target was enabled, or is reached in another way now.

    Whatever waits gets as much time to be delivered as if it had been published now. A worker
    that holds the lane sees that `resumed_at` is another one, so it always grows.
    """
    await connection.execute(
        update(lanes)
        .where(lanes.c.target_id == target_id)
        .values(
            due_at=now,
            notice_due_at=case((exists(_notices(target_id)), now), else_=None),
            resumed_at=case((lanes.c.resumed_at >= now, lanes.c.resumed_at + 1), else_=now),
            gate_until=0,
        )
    )


async def free_all(connection: Connection, *, now: int) -> None:
    """Ends every lease; the next one of each lane gets a larger fencing token."""
    await connection.execute(
        update(lanes)
        .where(lanes.c.lease_owner.is_not(None))
        .values(
            lease_owner=None,
            lease_expires_at=0,
            due_at=now,
            notice_due_at=case((lanes.c.notice_due_at.is_not(None), now), else_=None),
        )
    )


def _notices(target_id: int) -> Select[tuple[int]]:
    return select(deliveries.c.next_attempt_at).where(
        deliveries.c.target_id == target_id,
        deliveries.c.state == WAITING,
        deliveries.c.kind == NOTICE,
    )


def _first_notice(target_id: int) -> Select[tuple[int]]:
    """When the first of the notices that wait is to be sent."""
    return _notices(target_id).with_only_columns(func.min(deliveries.c.next_attempt_at))


async def _first_waiting_after(connection: Connection, target_id: int, at: int) -> int | None:
    found = await connection.execute(
        select(func.min(deliveries.c.next_attempt_at)).where(
            deliveries.c.target_id == target_id,
            deliveries.c.state == WAITING,
            deliveries.c.next_attempt_at > at,
        )
    )
    first: int | None = found.scalar_one_or_none()
    return first
